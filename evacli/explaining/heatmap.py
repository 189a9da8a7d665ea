"""Grad-CAM: where in an image a network sees a class (Selvaraju et al. 2017, arXiv 1610.02391). Numbers only."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import lru_cache, partial, wraps
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evacli.backend import keras, tf
from evacli.errors import ConfigError
from evacli.models.logits import logits_model

CHUNK = 256  # images in one pass; more would only cost memory
EPSILON = 1e-7


def grad_cam(
    model: keras.Model, images: NDArray[Any], class_indices: NDArray[np.integer], layer: str | None = None
) -> NDArray[np.float32]:
    r"""Computes class activation maps of `images`, each for its own class or classes, in one batched pass.

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
        layer: a name from `feature_maps`; by default the last one.

    Returns:
        (N, h, w), or (N, T, h, w), in the resolution of the feature map. From 0 to just under 1; all zero where nothing
        speaks for the class, or where the network's numbers are not finite.

    Raises:
        ConfigError: if there is no such layer, or its output is no feature map.
    """
    # Named by the model that the user knows; the one that gives scores runs the same layer objects.
    chosen = dict(_layers(model))[choose_layer(model, images.shape[1:], layer)]
    explain = _pass(model, chosen)
    targets = class_indices.reshape(len(images), -1).T  # (T, N)
    starts = range(0, len(images), CHUNK)
    maps = np.concatenate([explain(images[i : i + CHUNK], list(targets[:, i : i + CHUNK])).numpy() for i in starts])
    found: NDArray[np.float32] = np.nan_to_num(maps).reshape(*class_indices.shape, *maps.shape[2:])
    return found


def feature_maps(model: keras.Model, image_shape: tuple[int, ...]) -> dict[str, tuple[int, int, int]]:
    """Names the layers of `model` that give feature maps, with (h, w, channels), in the order of computation.

    A feature map is a 4-D output of more than one pixel. A layer inside a nested model is called `model/layer`.
    """
    found = {}

    def note(name: str, output: tf.Tensor) -> None:
        if _is_feature_map(output.shape):
            found[name] = tuple(output.shape[1:])

    with _observed(_layers(model), note):
        model(tf.zeros((1, *image_shape)), training=False)
    return found


def choose_layer(model: keras.Model, image_shape: tuple[int, ...], layer: str | None = None) -> str:
    """Returns the full name of the feature map called `layer`, by default of the last one.

    The last part of a nested layer's name will do where only one layer ends in it.

    Raises:
        ConfigError: naming the layers that there are.
    """
    if layer and _is_known_feature_map(dict(_layers(model)).get(layer)):
        return layer  # no need to run the network
    names = list(feature_maps(model, image_shape))
    if not names:
        raise ConfigError("The network has no layer whose output is a feature map (B, H, W, C); Grad-CAM needs one.")
    if layer is None:
        return names[-1]
    matching = [n for n in names if n == layer] or [n for n in names if n.endswith(f"/{layer}")]
    if len(matching) == 1:
        return matching[0]
    raise _no_such_layer(layer, matching, names, dict(_layers(model)))


def _is_known_feature_map(layer: Any) -> bool:
    """Whether the graph that `layer` is in tells, without being run, that it gives a feature map, and only one."""
    try:
        shape = layer.output.shape
    except (AttributeError, ValueError):  # it is called more than once, or from a model that is no graph
        return False
    return None not in shape[1:] and _is_feature_map(shape)


def _is_feature_map(shape: Sequence[int]) -> bool:
    return len(shape) == 4 and shape[1] * shape[2] > 1


def _no_such_layer(layer: str, matching: list[str], names: list[str], layers: dict[str, Any]) -> ConfigError:
    if matching:
        reason = f"fits {len(matching)} layers: {', '.join(matching)}"
    else:
        known = any(name == layer or name.endswith(f"/{layer}") for name in layers)
        reason = "gives no feature map (B, H, W, C)" if known else "is no layer of the network"
    return ConfigError(f"--layer {layer} {reason}.", f"From the last to the first, choose one of: {_listed(names)}.")


def _listed(names: list[str], most: int = 60) -> str:
    shown = names[::-1][:most]
    left = len(names) - len(shown)
    return ", ".join(shown) + (f" and {left} before" if left else "")


# The work is many small operations, which a graph does in half the time. It is traced for the first call and kept for
# the next ones; that of the last network only, since a graph keeps the weights of its network alive.
@lru_cache(maxsize=1)
def _pass(model: keras.Model, layer: Any) -> Callable[..., Any]:
    """A function from (B, H, W, 3) images and T times (B,) classes to (B, T, h, w) maps."""
    scores = logits_model(model)

    def maps(images: tf.Tensor, targets: list[tf.Tensor]) -> tf.Tensor:
        seen = []
        tape = tf.GradientTape(persistent=True, watch_accessed_variables=False)

        def watch(_: str, output: tf.Tensor) -> None:
            tape.watch(output)
            seen.append(output)

        with tape, _observed([("", layer)], watch):
            of_all = scores(tf.cast(images, tf.float32), training=False)  # (B, C)
            # The images do not depend on one another, so the gradient of their sum is the gradient of each.
            chosen = [tf.gather(of_all, classes, axis=1, batch_dims=1) for classes in targets]
        features = seen[-1]  # (B, h, w, K)
        gradients = [tape.gradient(s, features, unconnected_gradients="zero") for s in chosen]
        return tf.stack([_weighted(features, g) for g in gradients], axis=1)

    return tf.function(maps, reduce_retracing=True, autograph=False)  # type: ignore[no-any-return]


def _weighted(features: tf.Tensor, gradient: tf.Tensor) -> tf.Tensor:
    """(B, h, w) map of one class from (B, h, w, K) features and the gradient of its score, in any precision."""
    weights = tf.reduce_mean(tf.cast(gradient, tf.float32), axis=(1, 2))  # (B, K)
    heat = tf.nn.relu(tf.einsum("bhwk,bk->bhw", tf.cast(features, tf.float32), weights))
    return heat / (tf.reduce_max(heat, axis=(1, 2), keepdims=True) + EPSILON)


def _layers(model: keras.Model, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every layer and operation with its name, nested models opened instead of listed."""
    for layer in getattr(model, "operations", model.layers):
        if isinstance(layer, keras.Model):
            yield from _layers(layer, f"{prefix}{layer.name}/")
        else:
            yield prefix + layer.name, layer


@contextmanager
def _observed(layers: Iterable[tuple[str, Any]], see: Callable[[str, tf.Tensor], None]) -> Iterator[None]:
    """Calls `see(name, output)` each time that one of `layers` has computed.

    Keras has no forward hooks, and a functional model to an inner output cannot reach into a nested or subclassed one;
    a `call` set on the layer object itself works in all of them.
    """
    with ExitStack() as undo:
        for name, layer in layers:
            if "call" not in vars(layer):  # a layer in two places counts once
                layer.call = _telling(layer.call, partial(see, name))
                undo.callback(delattr, layer, "call")
        yield


def _telling(call: Callable[..., Any], see: Callable[[Any], None]) -> Callable[..., Any]:
    @wraps(call)
    def told(*args: Any, **kwargs: Any) -> Any:
        output = call(*args, **kwargs)
        if tf.is_tensor(output):
            see(output)
        return output

    return told
