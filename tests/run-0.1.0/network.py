"""The network of the run beside it: everything that has a state, and few numbers."""

import keras
from keras import layers


def build(input_shape: tuple[int, int, int], num_classes: int) -> keras.Model:
    x = inputs = keras.Input(input_shape)
    x = layers.AveragePooling2D(8)(x)
    x = layers.Conv2D(8, 3, use_bias=False, padding="same", kernel_regularizer=keras.regularizers.L2(1e-3))(x)
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
    x = layers.Dropout(0.3)(x)
    return keras.Model(inputs, layers.Dense(num_classes)(layers.Flatten()(x)))
