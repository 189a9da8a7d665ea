"""Grad-CAM: where in an image a network sees a class (Selvaraju et al. 2017, arXiv 1610.02391). Numbers only.

Its variants weigh the same feature map in other ways; see `evacli.explaining.methods`.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evacli.backend import keras, tf
from evacli.explaining.layers import caveat, choose_layer
from evacli.explaining.methods import EPSILON, WEIGHINGS
from evacli.explaining.occlusion import occlusion
from evacli.explaining.options import Method
from evacli.models.logits import logits_model
from evacli.models.observing import named_layers, observed

__all__ = ["caveat", "choose_layer", "grad_cam", "heat_maps"]

CHUNK = 256  # images in one pass; more would only cost memory


def heat_maps(
    model: keras.Model,
    images: NDArray[Any],
    class_indices: NDArray[np.integer],
    layer: str | None = None,
    method: Method = "gradcam",
) -> NDArray[np.float32]:
    """Compute maps by any method; see `grad_cam` and `evacli.explaining.occlusion`, which needs no layer."""
    if method == "occlusion":
        return occlusion(model, images, class_indices)
    return grad_cam(model, images, class_indices, layer, method)


def grad_cam(
    model: keras.Model,
    images: NDArray[Any],
    class_indices: NDArray[np.integer],
    layer: str | None = None,
    method: Method = "gradcam",
) -> NDArray[np.float32]:
    r"""Compute class activation maps of `images`, each for its own class or classes, in one batched pass.

    With $A^k$ channel k of the feature map and $y^c$ the score of class c before the softmax,
    $L^c = \mathrm{ReLU}(\sum_k \alpha_k^c A^k)$ and $\alpha_k^c = \mathrm{mean}_{ij}\,\partial y^c / \partial A^k_{ij}$
    (equations 1 and 2), then $L^c / (\max L^c + 10^{-7})$. The network runs as in inference.

    Where global average pooling of the feature map gives the scores directly, as in `eva` with its 1x1 convolution to
    one channel a class, $\alpha^c$ picks the class' own channel: the map is exactly CAM (Zhou et al. 2016), and other
    channels add nothing. The layer before that convolution gives the same map up to its bias.

    Args:
        model: gives class probabilities (B, C) for pixels 0..255.
        images: (N, H, W, 3) pixels 0..255, RGB; at least one.
        class_indices: (N,) the class to explain in each image, or (N, T) several; a further class costs a backward
            pass from the scores to the layer, and no forward pass.
        layer: a name from `layers.feature_maps`; by default the one that `layers.choose_layer` takes.
        method: one of `methods.WEIGHINGS`, by which the feature map is weighed in place of the equations above.

    Returns:
        (N, h, w), or (N, T, h, w), in the resolution of the feature map. From 0 to just under 1; all zero where nothing
        speaks for the class, or where the network's numbers are not finite.

    Raises:
        ConfigError: if there is no such layer, or its output is no feature map.
    """
    # Named by the model that the user knows; the one that gives scores runs the same layer objects.
    chosen = dict(named_layers(model))[choose_layer(model, images.shape[1:], layer)]
    explain = _pass(model, chosen, method)
    targets = class_indices.reshape(len(images), -1).T  # (T, N)
    starts = range(0, len(images), CHUNK)
    maps = np.concatenate([explain(images[i : i + CHUNK], list(targets[:, i : i + CHUNK])).numpy() for i in starts])
    found: NDArray[np.float32] = np.nan_to_num(maps).reshape(*class_indices.shape, *maps.shape[2:])
    return found


# The work is many small operations, which a graph does in half the time. It is traced for the first call and kept for
# the next ones; that of the last network only, since a graph keeps the weights of its network alive.
@lru_cache(maxsize=1)
def _pass(model: keras.Model, layer: Any, method: Method) -> Callable[..., Any]:
    """Return a function from (B, H, W, 3) images and T times (B,) classes to (B, T, h, w) maps."""
    scores, weigh = logits_model(model), WEIGHINGS[method]

    def maps(images: tf.Tensor, targets: list[tf.Tensor]) -> tf.Tensor:
        seen = []
        tape = tf.GradientTape(persistent=True, watch_accessed_variables=False)

        def watch(*call: Any) -> Any:
            output = call[-1]
            tape.watch(output)
            seen.append(output)
            return output

        with tape, observed([("", layer)], watch):
            of_all = scores(tf.cast(images, tf.float32), training=False)  # (B, C)
            # The images do not depend on one another, so the gradient of their sum is the gradient of each.
            chosen = [tf.gather(of_all, classes, axis=1, batch_dims=1) for classes in targets]
        features = seen[-1]  # (B, h, w, K)
        gradients = [tape.gradient(s, features, unconnected_gradients="zero") for s in chosen]
        return tf.stack([_scaled(weigh(*_float32(features, g))) for g in gradients], axis=1)

    return tf.function(maps, reduce_retracing=True, autograph=False)  # type: ignore[no-any-return]


def _float32(*tensors: Any) -> list[Any]:
    return [tf.cast(tensor, tf.float32) for tensor in tensors]


def _scaled(heat: tf.Tensor) -> tf.Tensor:
    """Return what speaks for the class in (B, h, w) maps, from 0 to just under 1."""
    heat = tf.nn.relu(heat)
    return heat / (tf.reduce_max(heat, axis=(1, 2), keepdims=True) + EPSILON)
