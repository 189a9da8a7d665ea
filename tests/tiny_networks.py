"""Networks of a user, as `--model path/to/tiny_networks.py:NAME`."""

import keras
from keras import layers


def tiny(input_shape: tuple[int, int, int], num_classes: int) -> keras.Model:
    """Everything that has a state: BatchNorm, dropout, penalties, a bias; on 32x32 images a few milliseconds a step."""
    x = inputs = keras.Input(input_shape)
    x = layers.AveragePooling2D(4)(x)
    x = layers.Conv2D(8, 3, use_bias=False, padding="same", kernel_regularizer=keras.regularizers.L2(1e-3))(x)
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
    x = layers.Dropout(0.3)(x)
    return keras.Model(inputs, layers.Dense(num_classes)(layers.Flatten()(x)))


def statistics(input_shape: tuple[int, int, int], num_classes: int) -> keras.Model:
    """BatchNorm sees the normalised pixels themselves."""
    x = inputs = keras.Input(input_shape)
    x = layers.BatchNormalization(momentum=0.9, name="fresh")(x)
    return keras.Model(inputs, layers.Dense(num_classes)(layers.GlobalAveragePooling2D()(x)))


def transferred(input_shape: tuple[int, int, int], num_classes: int) -> keras.Model:
    """Two BatchNorm layers that come from elsewhere, the first one frozen."""
    x = inputs = keras.Input(input_shape)
    x = frozen = layers.BatchNormalization(name="frozen")
    x = learned = layers.BatchNormalization(name="learned")
    x = learned(frozen(inputs))
    frozen.trainable = False
    learned.moving_mean.assign([0.5, -0.5, 0.1])
    learned.moving_variance.assign([2.0, 3.0, 4.0])
    return keras.Model(inputs, layers.Dense(num_classes)(layers.GlobalAveragePooling2D()(x)))


def linear(input_shape: tuple[int, int, int], num_classes: int) -> keras.Model:
    """Scores that depend on one image at a time, and a penalty."""
    x = inputs = keras.Input(input_shape)
    penalty = keras.regularizers.L2(1e-2)
    return keras.Model(inputs, layers.Dense(num_classes, kernel_regularizer=penalty)(layers.Flatten()(x)))


def wide(input_shape: tuple[int, int, int], num_classes: int) -> keras.Model:
    """Sixteen million weights, which take more than what is computed with them."""
    inputs = keras.Input(input_shape)
    x = layers.Dense(20_000, activation="relu")(layers.Flatten()(inputs))
    return keras.Model(inputs, layers.Dense(num_classes)(x))


def shuffled(input_shape: tuple[int, int, int], num_classes: int) -> keras.Model:
    """A layer that draws random numbers for a whole batch."""
    inputs = keras.Input(input_shape)
    x = layers.RandomZoom(0.1, name="zoom")(inputs)
    return keras.Model(inputs, layers.Dense(num_classes)(layers.Flatten()(x)))
