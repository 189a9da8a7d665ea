"""Residual networks for small images."""

from typing import Any

from keras import layers, ops

from evacli.errors import ModelError

SCORE_SCALE = 0.125


def resnet9(x: Any, num_classes: int) -> Any:
    """Return class probabilities of the nine-layer residual network that led DAWNBench.

    6.6 million parameters. Page 2018, "How to Train Your ResNet"; the features, and so the scores, multiplied by 0.125.

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
            f"--model resnet9 halves images three times; {height}x{width} is too small.", "Use --model resnet20."
        )
    x = _convolve(x, 64, "prep")
    for number, (filters, residual) in enumerate(((128, True), (256, False), (512, True)), start=1):
        name = f"layer{number}"
        x = _convolve(x, filters, name)
        x = layers.MaxPooling2D(2, name=f"{name}_pool")(x)
        if residual:
            branch = _convolve(_convolve(x, filters, f"{name}_residual1"), filters, f"{name}_residual2")
            x = layers.Add(name=f"{name}_add")([x, branch])
    x = layers.GlobalMaxPooling2D(name="pool")(x)
    x = layers.Rescaling(SCORE_SCALE, name="scale")(x)
    x = layers.Dense(num_classes, use_bias=False, name="scores")(x)
    return layers.Softmax(dtype="float32", name="probabilities")(x)


def resnet20(x: Any, num_classes: int) -> Any:
    """Return class probabilities of the 20-layer residual network for CIFAR.

    0.27 million parameters; works for every image size. He et al. 2015 (arXiv 1512.03385), section 4.2: three stages of
    three blocks with 16, 32 and 64 filters; a shortcut that changes shape skips every other pixel and pads the new
    channels with zeros (option A), so it has no parameters.

    Args:
        x: normalised images, a keras tensor (B, H, W, channels).
        num_classes: how many probabilities to give.

    Returns:
        (B, num_classes) keras tensor, float32.
    """
    x = _convolve(x, 16, "prep")
    for stage, filters in enumerate((16, 32, 64), start=1):
        for block in (1, 2, 3):
            x = _basic_block(x, filters, f"stage{stage}_block{block}")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dense(num_classes, kernel_initializer="he_normal", name="scores")(x)
    return layers.Softmax(dtype="float32", name="probabilities")(x)


def _basic_block(x: Any, filters: int, name: str) -> Any:
    stride = 1 if x.shape[-1] == filters else 2
    branch = _convolve(x, filters, f"{name}_conv1", stride)
    branch = _convolve(branch, filters, f"{name}_conv2", activation=False)
    if stride == 2:
        added = (filters - x.shape[-1]) // 2
        x = ops.pad(x[:, ::2, ::2], ((0, 0), (0, 0), (0, 0), (added, added)))
    x = layers.Add(name=f"{name}_add")([x, branch])
    return layers.ReLU(name=f"{name}_relu")(x)


def _convolve(x: Any, filters: int, name: str, stride: int = 1, *, activation: bool = True) -> Any:
    x = layers.Conv2D(filters, 3, stride, padding="same", use_bias=False, kernel_initializer="he_normal", name=name)(x)
    x = layers.BatchNormalization(name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x) if activation else x
