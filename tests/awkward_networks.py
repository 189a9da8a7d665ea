"""Networks of a user whose layers stand at several places, or do not compute in every type."""

from collections.abc import Callable
from typing import Any

import keras
from keras import layers, ops

Shape = tuple[int, int, int]


def _network(middle: Callable[[Any], Any]) -> Callable[[Shape, int], keras.Model]:
    def build(input_shape: Shape, num_classes: int) -> keras.Model:
        inputs = keras.Input(input_shape)
        x = middle(layers.Conv2D(4, 3, padding="same", name="first")(inputs))
        return keras.Model(inputs, layers.Dense(num_classes)(layers.GlobalAveragePooling2D()(x)))

    return build


# In bfloat16 they give penalties of that type,
penalised = _network(lambda x: layers.ActivityRegularization(l2=1e-3)(x))
penalised_convolution = _network(lambda x: layers.Conv2D(4, 3, activity_regularizer="l2")(x))
# they say what type an operation is to give,
told = _network(lambda x: ops.cumsum(ops.cast(x, "float32"), axis=1))
# or they do not work: a layer, and an operation after one.
rotated = _network(lambda x: layers.RandomRotation(0.1, name="turned")(x))
decomposed = _network(lambda x: x * ops.svd(x, compute_uv=False)[..., :1, None])


def _scores(pixels: Any, x: Any, num_classes: int) -> keras.Model:
    return keras.Model(pixels, layers.Dense(num_classes)(layers.GlobalAveragePooling2D()(x)))


def once(input_shape: Shape, num_classes: int) -> keras.Model:
    """BatchNorm at one place."""
    pixels = keras.Input(input_shape)
    return _scores(pixels, layers.BatchNormalization(name="norm", momentum=0.9)(pixels), num_classes)


def twice(input_shape: Shape, num_classes: int) -> keras.Model:
    """BatchNorm at two places, of which the second shows it another image."""
    pixels = keras.Input(input_shape)
    norm = layers.BatchNormalization(name="norm", momentum=0.9)
    return _scores(pixels, norm(pixels) + norm(1 + 2 * ops.flip(pixels, 2)), num_classes)


def backbone_twice(input_shape: Shape, num_classes: int) -> keras.Model:
    """The same, inside a network that stands at two places."""
    inside = keras.Sequential([keras.Input(input_shape), layers.BatchNormalization(name="norm", momentum=0.9)])
    pixels = keras.Input(input_shape)
    return _scores(pixels, inside(pixels, training=False) + inside(1 + 2 * ops.flip(pixels, 2)), num_classes)


def _distributed(inside: Callable[[Any], Any]) -> Callable[[Shape, int], keras.Model]:
    def build(input_shape: Shape, num_classes: int) -> keras.Model:
        height, width, channels = input_shape
        pixels = keras.Input(input_shape)
        halves = layers.Reshape((2, height // 2, width, channels))(pixels)
        x = layers.TimeDistributed(inside(layers.BatchNormalization(name="norm", momentum=0.9)))(halves)
        return _scores(pixels, layers.Reshape(input_shape)(x), num_classes)

    return build


# It sees the upper half of each image, then the lower one.
distributed = _distributed(lambda norm: norm)
distributed_backbone = _distributed(lambda norm: keras.Sequential([keras.Input((4, 8, 3)), norm]))


def in_two_backbones(input_shape: Shape, num_classes: int) -> keras.Model:
    """The same layer in two networks."""
    norm = layers.BatchNormalization(name="norm", momentum=0.9)
    first, second, pixels = (keras.Input(input_shape) for _ in range(3))
    one, other = keras.Model(first, norm(first)), keras.Model(second, norm(second))
    return _scores(pixels, one(pixels) + other(1 + 2 * ops.flip(pixels, 2)), num_classes)


def nested_twice(input_shape: Shape, num_classes: int) -> keras.Model:
    """Twice inside a network that stands at two places: four calls."""
    inner, pixels = keras.Input(input_shape), keras.Input(input_shape)
    norm = layers.BatchNormalization(name="norm", momentum=0.9)
    inside = keras.Model(inner, norm(inner) + norm(inner))
    return _scores(pixels, inside(pixels) + inside(pixels), num_classes)
