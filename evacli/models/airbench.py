"""A wide, flat network that learns fast, and the weights that it starts from."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import initializers, layers
from numpy.typing import NDArray

from evacli.backend import keras
from evacli.errors import ModelError

WHITENING, PATCH = "whitening", 2  # the name of the first convolution, and the side of its patches in pixels
WIDTHS = (64, 256, 256)
SMALL_WIDTHS = (32, 128, 128)
BATCHNORM_MOMENTUM = 0.6
SCORE_SCALE = 1 / 9
# Directions in which patches hardly differ would be blown up without it; the pixels have variance 1.
SMALLEST_VARIANCE = 5e-4


def airbench(x: Any, num_classes: int, widths: Sequence[int] = WIDTHS) -> Any:
    """Return class probabilities of a convolution that whitens patches and three blocks of two convolutions each.

    2.0 million parameters for 3 channels and 10 classes, of which the whitening does not train. Jordan 2024 (arXiv
    2404.00498), section 3: the network of airbench94, without the bias of the whitening. `start` gives it its weights.

    Args:
        x: normalised images, a keras tensor (B, H, W, channels); small ones are halved less than three times.
        num_classes: how many probabilities to give.
        widths: filters of the convolutions of each block.

    Returns:
        (B, num_classes) keras tensor, float32.

    Raises:
        ModelError: if the images are smaller than a patch.
    """
    height, width, channels = x.shape[1:]
    if min(height, width) < PATCH:
        raise ModelError(f"--model airbench whitens patches of 2x2; {height}x{width} is too small.", "Use larger ones.")
    x = layers.Conv2D(2 * channels * PATCH**2, PATCH, use_bias=False, trainable=False, name=WHITENING)(x)
    x = layers.Activation("gelu", name=f"{WHITENING}_gelu")(x)
    for number, filters in enumerate(widths, start=1):
        name = f"block{number}"
        x = _convolve(x, filters, f"{name}_conv1")
        if min(x.shape[1:3]) > 1:
            x = layers.MaxPooling2D(2, name=f"{name}_pool")(x)
        x = _activate(x, f"{name}_conv1")
        x = _convolve(x, filters, f"{name}_conv2")
        x = _activate(x, f"{name}_conv2")
    x = layers.GlobalMaxPooling2D(name="pool")(x)
    x = layers.Rescaling(SCORE_SCALE, name="scale")(x)
    x = layers.Dense(num_classes, use_bias=False, name="scores")(x)
    return layers.Softmax(dtype="float32", name="probabilities")(x)


def airbench_small(x: Any, num_classes: int) -> Any:
    """Build the same with half the filters: 0.5 million parameters, and about a quarter of the arithmetic."""
    return airbench(x, num_classes, SMALL_WIDTHS)


def _convolve(x: Any, filters: int, name: str) -> Any:
    uniform = initializers.VarianceScaling(1 / 3, "fan_in", "uniform")
    return layers.Conv2D(filters, 3, padding="same", use_bias=False, kernel_initializer=uniform, name=name)(x)


def _activate(x: Any, name: str) -> Any:
    x = layers.BatchNormalization(momentum=BATCHNORM_MOMENTUM, scale=False, name=f"{name}_norm")(x)
    return layers.Activation("gelu", name=f"{name}_gelu")(x)


def start(model: keras.Model, images: NDArray[np.uint8]) -> None:
    """Give `model`, an untrained `airbench`, the weights that it starts from.

    The whitening decorrelates the patches of `images`; every other convolution begins by handing on its inputs, as far
    as it has filters, beside filters that are random.

    Args:
        model: from pixels to probabilities.
        images: (N, H, W, channels) training images.
    """
    normalised = np.asarray(model.get_layer("normalise")(images.astype(np.float32)))
    model.get_layer(WHITENING).set_weights([whitening(normalised)])
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D) and layer.name != WHITENING:
            (kernel,) = layer.get_weights()  # (3, 3, inputs, outputs)
            handed_on = min(kernel.shape[2:])
            kernel[..., :handed_on] = 0
            kernel[1, 1, range(handed_on), range(handed_on)] = 1
            layer.set_weights([kernel])


def whitening(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a kernel that makes patches of `images` (N, H, W, C) uncorrelated and of variance 1, beside its opposite.

    Returns:
        (2, 2, C, 8 C): the eigenvectors of the patches' covariance, each divided by the root of its eigenvalue.
    """
    patches = np.lib.stride_tricks.sliding_window_view(images, (PATCH, PATCH), axis=(1, 2))  # (N, H-1, W-1, C, 2, 2)
    channels = images.shape[-1]
    flat = patches.transpose(0, 1, 2, 4, 5, 3).reshape(-1, PATCH * PATCH * channels)
    variances, directions = np.linalg.eigh(flat.T @ flat / len(flat))
    kernel = (directions / np.sqrt(variances + SMALLEST_VARIANCE)).reshape(PATCH, PATCH, channels, -1)
    return np.concatenate([kernel, -kernel], axis=-1).astype(np.float32)
