"""Keras' guide on transfer learning, for photographs in folders: a frozen backbone, then all of it at a low rate.

https://keras.io/guides/transfer_learning/, with MobileNetV2 in the place of Xception, as the tutorial of TensorFlow has
it: ten epochs of the head and ten of everything at 1e-5, 160 pixels.
"""

import argparse
import json
import time
from pathlib import Path

import keras

SIDE = 160


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path)
    parser.add_argument("--weights")
    parser.add_argument("--seed", type=int)
    options = parser.parse_args()
    began = time.monotonic()
    keras.utils.set_random_seed(options.seed)
    train, validation, test = (photographs(options.data / name) for name in ("train", "validation", "test"))
    base = keras.applications.MobileNetV2(
        input_shape=(SIDE, SIDE, 3), include_top=False, weights=options.weights or None
    )
    base.trainable = False
    inputs = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.RandomRotation(0.1)(keras.layers.RandomFlip("horizontal")(inputs))
    x = base(keras.layers.Rescaling(1 / 127.5, offset=-1)(x), training=False)
    x = keras.layers.Dropout(0.2)(keras.layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, keras.layers.Dense(len(train.class_names))(x))
    fit(model, train, validation, 1e-3)
    base.trainable = True
    fit(model, train, validation, 1e-5)
    _, accuracy = model.evaluate(test, verbose=0)
    print(json.dumps({"accuracy": accuracy, "seconds": time.monotonic() - began}))


def photographs(folder: Path) -> object:
    return keras.utils.image_dataset_from_directory(folder, image_size=(SIDE, SIDE), verbose=False)


def fit(model: keras.Model, train: object, validation: object, rate: float) -> None:
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"])
    model.fit(train, validation_data=validation, epochs=10, verbose=0)


if __name__ == "__main__":
    main()
