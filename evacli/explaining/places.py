"""Whether the rows and columns of what a layer gives still are those of the picture, told by what each layer does.

A table names the layers and operations of Keras that keep rows and columns. Whatever is not in it counts as mixing
them: reshaping, transposing, attention, and everything that comes from elsewhere.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, ...]
Border = NDArray[np.float64]  # ((top, bottom), (left, right))


@dataclass(frozen=True, eq=False)
class Places:
    """What rows and columns, axes 1 and 2 of a tensor (B, H, W, C), have to do with the picture.

    Attributes:
        border: by how many of its own rows and columns the tensor reaches beyond the picture, or, below zero, falls
            short of it, because it was padded or cropped.
        learnt: whether a layer that weighs pixels or channels has worked on it. What comes before, such as
            normalisation, shows the picture itself and nothing that the network makes of it.
        mixed_by: the layer that gave the rows and columns up; empty as long as they are those of the picture.
    """

    border: Border
    learnt: bool = False
    mixed_by: str = ""

    @property
    def are_shown(self) -> bool:
        """Whether a map can be laid over the picture: its edge is less than one row or column off."""
        return not self.mixed_by and bool((abs(self.border) < 1).all())


Seen = tuple[Places, Shape]  # of one tensor
PIXELS = Places(np.zeros((2, 2)))


def after(layer: Any, name: str, tensors: Sequence[Seen], arguments: Sequence[Any], shape: Shape) -> Places:
    """Return what a layer leaves of the places in its inputs.

    Args:
        layer: a Keras layer or operation.
        name: by which it is blamed.
        tensors: those that it was given.
        arguments: all that it was called with, what came by position first.
        shape: of its output.
    """
    together = merged(tensors)
    if together is None:
        return _mixed(tensors, name)
    before, size = together
    kind = type(layer)
    # A class of the same name from elsewhere may do anything.
    step = STEPS.get(kind.__name__) if kind.__module__.partition(".")[0] == "keras" else None
    if step is None or len(shape) != 4 or None in shape or not _is_channels_last(layer):
        return _mixed(tensors, name)
    border = step(before.border, layer, arguments, size, shape)
    if border is None:
        return _mixed(tensors, name)
    return Places(border, before.learnt or kind.__name__ in LEARNING)


def after_tensorflow(operation: Any, tensors: Sequence[Seen]) -> Places:
    """Return what an operation of TensorFlow leaves of the places in its inputs, between layers or inside one."""
    together = merged(tensors)
    if together and operation.type in TENSORFLOW and tuple(operation.outputs[0].shape[1:3]) == together[1][1:3]:
        return together[0]
    return _mixed(tensors, operation.name)


def _mixed(tensors: Sequence[Seen], by: str) -> Places:
    """No places any more; blame is due to the first that gave them up."""
    before = [places.mixed_by for places, _ in tensors if places.mixed_by]
    return replace(PIXELS, mixed_by=before[0] if before else by)


def merged(tensors: Sequence[Seen]) -> Seen | None:
    """Return what tensors have in common that are added, multiplied or put side by side; None if they do not fit.

    A tensor of a single pixel, such as a gate that weighs channels, has no places to mix.
    """
    large = [seen for seen in tensors if not _is_one_pixel(seen[1])] or list(tensors)
    sizes = {shape[1:3] for _, shape in large if len(shape) == 4}
    if any(places.mixed_by or len(shape) != 4 for places, shape in large) or len(sizes) != 1:
        return None
    borders = np.stack([places.border for places, _ in large])
    worst = np.take_along_axis(borders, abs(borders).argmax(axis=0)[None], axis=0)[0]
    return Places(worst, any(places.learnt for places, _ in tensors)), large[0][1]


def _is_one_pixel(shape: Shape) -> bool:
    return len(shape) == 4 and shape[1:3] == (1, 1)


def _is_channels_last(layer: Any) -> bool:
    return getattr(layer, "data_format", None) in (None, "channels_last")


def _kept(border: Border, layer: Any, arguments: Sequence[Any], size: Shape, shape: Shape) -> Border | None:
    """Each output pixel is made of the inputs at its own place (and perhaps of statistics of all)."""
    return border if size[1:3] == shape[1:3] else None


def _by_channel(border: Border, layer: Any, *_: Any) -> Border | None:
    """Channels side by side, not rows or columns."""
    return border if layer.axis in (-1, 3) else None


def _window(border: Border, layer: Any, *_: Any) -> Border:
    """Slide a window; without padding of its own it takes up what was padded for it."""
    window = getattr(layer, "kernel_size", None) or layer.pool_size
    if layer.padding == "valid":
        reach = (_by_axis(window) - 1) * _by_axis(getattr(layer, "dilation_rate", 1)) / 2
        border = np.where(border > 0, np.maximum(border - reach, 0), border)
    return border / _by_axis(layer.strides or window)


def _by_axis(value: int | Sequence[int]) -> NDArray[np.int64]:
    return np.broadcast_to(value, 2).reshape(2, 1)


def _scaled(border: Border, layer: Any, _: Any, size: Shape, shape: Shape) -> Border | None:
    """More or fewer pixels for the same extent."""
    distorted = ("crop_to_aspect_ratio", "pad_to_aspect_ratio")
    if getattr(layer, "padding", "same") != "same" or any(getattr(layer, name, False) for name in distorted):
        return None
    return border * _by_axis(shape[1:3]) / _by_axis(size[1:3])


def _zero_padded(border: Border, layer: Any, *_: Any) -> Border:
    padding: Border = np.array(layer.padding)
    return border + padding


def _cropped(border: Border, layer: Any, *_: Any) -> Border:
    cropping: Border = np.array(layer.cropping)
    return border - cropping


def _padded(border: Border, layer: Any, *_: Any) -> Border | None:
    width = np.array(layer.pad_width)
    return border + width[1:3] if width.shape == (4, 2) else None


def _sliced(border: Border, _: Any, arguments: Sequence[Any], size: Shape, shape: Shape) -> Border | None:
    """Follow `x[:, ::2, ::2]`: pixels left out between others, and cut off at the edge."""
    key = arguments[1]
    # A network that was saved and opened again has a list there.
    if not isinstance(key, tuple | list) or not all(isinstance(part, slice) for part in key):
        return None
    all_parts = (*key, slice(None), slice(None), slice(None))
    chosen = [range(length)[part] for length, part in zip(size[1:3], all_parts[1:3], strict=True)]
    if any(not places or places.step < 1 for places in chosen):
        return None
    ends = zip(chosen, size[1:3], strict=True)
    cut = [(places[0], max(0, length - places[-1] - places.step)) for places, length in ends]
    return (border - np.array(cut)) / _by_axis([places.step for places in chosen])


Step = Callable[[Border, Any, Sequence[Any], Shape, Shape], Border | None]

# Layers and operations by the name of their class, which a layer and the operation that does the same often share.
ELEMENTWISE = """
    Activation ReLU LeakyReLU PReLU ELU Softmax Dropout SpatialDropout2D AlphaDropout GaussianDropout GaussianNoise
    ActivityRegularization Identity BatchNormalization GroupNormalization LayerNormalization RMSNormalization
    UnitNormalization Normalization Rescaling Dense LayerScale CustomScaleLayer
    Add Subtract Multiply Average Maximum Minimum Divide TrueDivide DivideNoNan Power Where
    Absolute Abs Negative Reciprocal Square Sqrt Rsqrt Exp Log Log1p Tanh Sin Cos Erf Clip Cast StopGradient LogSoftmax
    Relu Relu6 LeakyRelu Elu Selu Celu Gelu Silu Sigmoid LogSigmoid HardSigmoid HardSilu HardTanh Softplus Softsign
    Squareplus SoftShrink HardShrink TanhShrink Threshold
"""
STEPS: dict[str, Step] = {
    **dict.fromkeys(ELEMENTWISE.split(), _kept),
    **dict.fromkeys(("Conv2D", "DepthwiseConv2D", "SeparableConv2D"), _window),
    **dict.fromkeys(("MaxPooling2D", "AveragePooling2D", "MaxPool", "AveragePool"), _window),
    **dict.fromkeys(("UpSampling2D", "Conv2DTranspose", "Resizing", "Resize"), _scaled),
    **dict.fromkeys(("AdaptiveAveragePooling2D", "AdaptiveMaxPooling2D"), _scaled),
    "Concatenate": _by_channel,
    "ZeroPadding2D": _zero_padded,
    "Cropping2D": _cropped,
    "Pad": _padded,
    "GetItem": _sliced,
}
LEARNING = frozenset(("Conv2D", "DepthwiseConv2D", "SeparableConv2D", "Conv2DTranspose", "Dense"))
# Operations of TensorFlow, by their type, that a model which is written by hand may put between its layers.
WRITTEN_BY_HAND = """
    Identity Cast StopGradient AddV2 Sub Mul RealDiv Maximum Minimum Neg Abs Square Sqrt Rsqrt Exp Log Tanh Sigmoid
    Relu Relu6 LeakyRelu Elu Selu Softplus
"""
TENSORFLOW = frozenset(WRITTEN_BY_HAND.split())
