"""The small networks of examples/lr_regret.py: each a kind of its own, and all of them quick on two cores.

evacli train --model examples/lr_regret_networks.py:vit

The images arrive normalised; the last layer gives a probability for each class.
"""

from collections.abc import Callable

import keras
from keras import layers, ops

Shape = tuple[int, int, int]


def conv_batchnorm(input_shape: Shape, num_classes: int) -> keras.Model:
    return _conv(input_shape, num_classes, layers.BatchNormalization)


def conv_layernorm(input_shape: Shape, num_classes: int) -> keras.Model:
    return _conv(input_shape, num_classes, layers.LayerNormalization)


def conv_groupnorm(input_shape: Shape, num_classes: int) -> keras.Model:
    return _conv(input_shape, num_classes, lambda: layers.GroupNormalization(4))


def conv_plain(input_shape: Shape, num_classes: int) -> keras.Model:
    return _conv(input_shape, num_classes, None)


def _conv(input_shape: Shape, num_classes: int, norm: Callable[[], keras.Layer] | None) -> keras.Model:
    inputs = x = keras.Input(input_shape)
    for filters in (16, 32, 64):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=norm is None, kernel_initializer="he_normal")(x)
        x = norm()(x) if norm else x
        x = layers.ReLU()(x)
        x = layers.MaxPooling2D()(x)
    return _head(inputs, layers.Flatten()(x), num_classes)


def depthwise(input_shape: Shape, num_classes: int) -> keras.Model:
    inputs = keras.Input(input_shape)
    x = layers.Conv2D(24, 3, padding="same", use_bias=False)(inputs)
    for filters in (48, 96):
        x = layers.ReLU()(layers.BatchNormalization()(x))
        x = layers.DepthwiseConv2D(3, strides=2, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
        x = layers.Conv2D(filters, 1, use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    return _head(inputs, layers.GlobalAveragePooling2D()(x), num_classes)


def residual(input_shape: Shape, num_classes: int) -> keras.Model:
    inputs = keras.Input(input_shape)
    x = layers.Conv2D(16, 3, padding="same", use_bias=False)(inputs)
    for filters, strides in ((16, 1), (32, 2), (64, 2)):
        y = layers.ReLU()(layers.BatchNormalization()(x))
        short = x if strides == 1 else layers.Conv2D(filters, 1, strides=strides, use_bias=False)(y)
        y = layers.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False)(y)
        y = layers.ReLU()(layers.BatchNormalization()(y))
        x = layers.Add()([short, layers.Conv2D(filters, 3, padding="same", use_bias=False)(y)])
    x = layers.ReLU()(layers.BatchNormalization()(x))
    return _head(inputs, layers.GlobalAveragePooling2D()(x), num_classes)


def mlp(input_shape: Shape, num_classes: int) -> keras.Model:
    return _mlp(input_shape, num_classes, normalised=False)


def mlp_batchnorm(input_shape: Shape, num_classes: int) -> keras.Model:
    return _mlp(input_shape, num_classes, normalised=True)


def _mlp(input_shape: Shape, num_classes: int, *, normalised: bool) -> keras.Model:
    inputs = keras.Input(input_shape)
    x = layers.Flatten()(inputs)
    for units in (128, 64):
        x = layers.Dense(units, use_bias=not normalised)(x)
        x = layers.BatchNormalization()(x) if normalised else x
        x = layers.ReLU()(x)
    return _head(inputs, x, num_classes)


def vit(input_shape: Shape, num_classes: int) -> keras.Model:
    """A vision transformer (Dosovitskiy et al. 2020, arXiv 2010.11929) of two blocks, without a class token."""
    inputs = keras.Input(input_shape)
    x = layers.Conv2D(48, 2, strides=2)(inputs)
    x = layers.Reshape((-1, 48))(x)
    places = layers.Embedding(x.shape[1], 48)(ops.arange(x.shape[1])[None])
    x = x + places
    for _ in range(2):
        y = layers.LayerNormalization()(x)
        x = x + layers.MultiHeadAttention(4, 12)(y, y)
        y = layers.Dense(96, activation="gelu")(layers.LayerNormalization()(x))
        x = x + layers.Dense(48)(y)
    return _head(inputs, layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x)), num_classes)


def _head(inputs: keras.KerasTensor, x: keras.KerasTensor, num_classes: int) -> keras.Model:
    return keras.Model(inputs, layers.Dense(num_classes, activation="softmax")(x))
