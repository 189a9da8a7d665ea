"""The methods by gradients: an entry here, and its name in `options`, are all that one needs.

Each makes maps of one class from the feature map of a layer, A, and the gradient of the score of that class, G, both
(B, h, w, K). What it gives, (B, h, w), is cut off at zero and scaled by who calls it.
"""

from collections.abc import Callable
from typing import Any

from evacli.backend import tf

EPSILON = 1e-7


def _grad_cam(features: Any, gradient: Any) -> Any:
    weights = tf.reduce_mean(gradient, axis=(1, 2))  # (B, K)
    return tf.einsum("bhwk,bk->bhw", features, weights)


def _grad_cam_plus_plus(features: Any, gradient: Any) -> Any:
    # Of the exponential of the score, whose own factor is positive and the same everywhere: scaling loses it.
    total = tf.reduce_sum(features, axis=(1, 2), keepdims=True)
    below = 2 * gradient**2 + total * gradient**3
    alpha = tf.math.divide_no_nan(gradient**2, below)
    weights = tf.reduce_sum(alpha * tf.nn.relu(gradient), axis=(1, 2))
    return tf.einsum("bhwk,bk->bhw", features, weights)


def _hires_cam(features: Any, gradient: Any) -> Any:
    return tf.reduce_sum(features * gradient, axis=3)


def _layer_cam(features: Any, gradient: Any) -> Any:
    return tf.reduce_sum(features * tf.nn.relu(gradient), axis=3)


WEIGHINGS: dict[str, Callable[[Any, Any], Any]] = {
    "gradcam": _grad_cam,  # Selvaraju et al. 2017, arXiv 1610.02391, equations 1 and 2
    "gradcam++": _grad_cam_plus_plus,  # Chattopadhyay et al. 2018, arXiv 1710.11063, equations 5 and 19
    "hirescam": _hires_cam,  # Draelos and Carin 2020, arXiv 2011.08891, equation 3
    "layercam": _layer_cam,  # Jiang et al. 2021, IEEE TIP 30, equations 4 to 6
}
