"""The network of the EVA image classification assignment."""

from typing import Any

from keras import layers, regularizers

from evacli.errors import ModelError

KERNEL_PENALTY = 1e-4
# Each block: output channels of its 1x1 convolution (None: it has none) and of its two 3x3 ones, dropout rate.
BLOCKS = ((None, 32, 64, 0.2), (32, 64, 128, 0.3), (32, 128, 256, 0.5))


def eva(x: Any, num_classes: int) -> Any:
    """Return class probabilities of three convolutional blocks and global average pooling.

    455,370 parameters for 3 channels and 10 classes. Every 3x3 convolution carries an L2 penalty of 1e-4 and is
    followed by ReLU, then batch normalisation; the 1x1 convolutions are bare.

    Args:
        x: normalised images, a keras tensor (B, H, W, channels) of at least 8x8 pixels.
        num_classes: how many probabilities to give.

    Returns:
        (B, num_classes) keras tensor, float32.

    Raises:
        ModelError: if the images do not survive three poolings.
    """
    height, width = x.shape[1:3]
    if min(height, width) < 8:
        raise ModelError(
            f"--model eva halves images three times; {height}x{width} is too small.", "Use --model resnet20."
        )
    for number, (squeeze, first, second, rate) in enumerate(BLOCKS, start=1):
        name = f"block{number}"
        if squeeze:
            x = layers.Conv2D(squeeze, 1, name=f"{name}_squeeze")(x)
        x = _convolve(x, first, f"{name}_conv1")
        x = _convolve(x, second, f"{name}_conv2")
        x = layers.MaxPooling2D(2, name=f"{name}_pool")(x)
        x = layers.Dropout(rate, name=f"{name}_dropout")(x)
    x = layers.Conv2D(num_classes, 1, name="class_maps")(x)
    x = layers.GlobalAveragePooling2D(name="scores")(x)
    return layers.Softmax(dtype="float32", name="probabilities")(x)


def _convolve(x: Any, filters: int, name: str) -> Any:
    penalty = regularizers.L2(KERNEL_PENALTY)
    x = layers.Conv2D(filters, 3, padding="same", activation="relu", kernel_regularizer=penalty, name=name)(x)
    return layers.BatchNormalization(name=f"{name}_norm")(x)
