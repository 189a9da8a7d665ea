"""The assignment's notebook in Keras 3: float images in memory, one random eraser call an image, `fit`, float32."""

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers, regularizers
from numpy.typing import NDArray

from rivals.gate import Gate, parser, training_images
from rivals.keras_gate import PassGate


def main() -> None:
    options = parser().parse_args()
    pixels, labels = training_images(options.data)
    x = pixels.astype("float32") / 255
    x = (x - x.mean(axis=(0, 1, 2))) / x.std(axis=(0, 1, 2))
    y = keras.utils.to_categorical(labels, 10)
    model = network()
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), "categorical_crossentropy", metrics=["accuracy"])
    gate = Gate(parameters=model.count_params(), framework=f"Keras {keras.__version__}")
    model.fit(Batches(x, y, options.batch_size), epochs=100, callbacks=[PassGate(gate)], verbose=0)


def network() -> keras.Model:
    model = keras.Sequential([keras.Input((32, 32, 3))])
    for squeeze, first, second, rate in ((None, 32, 64, 0.2), (32, 64, 128, 0.3), (32, 128, 256, 0.5)):
        if squeeze:
            model.add(layers.Conv2D(squeeze, 1))
        for filters in (first, second):
            penalty = regularizers.l2(1e-4)
            model.add(layers.Conv2D(filters, 3, padding="same", activation="relu", kernel_regularizer=penalty))
            model.add(layers.BatchNormalization())
        model.add(layers.MaxPooling2D(2))
        model.add(layers.Dropout(rate))
    model.add(layers.Conv2D(10, 1))
    model.add(layers.GlobalAveragePooling2D())
    model.add(layers.Activation("softmax"))
    return model


class Batches(keras.utils.PyDataset):
    """Shuffled batches of erased and mirrored images."""

    def __init__(self, x: NDArray[np.float32], y: NDArray[Any], batch_size: int) -> None:
        super().__init__()
        self.x, self.y, self.batch_size = x, y, batch_size
        self.erase = random_eraser(low=float(x.min()), high=float(x.max()))
        self.order = np.random.permutation(len(x))

    def __len__(self) -> int:
        return math.ceil(len(self.x) / self.batch_size)

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], NDArray[Any]]:
        chosen = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        images = [image[:, ::-1] if np.random.rand() < 0.5 else image for image in self.x[chosen]]
        return np.stack([self.erase(image.copy()) for image in images]), self.y[chosen]

    def on_epoch_end(self) -> None:
        np.random.shuffle(self.order)


def random_eraser(low: float, high: float, probability: float = 0.5) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """Random Erasing (Zhong et al. 2017, arXiv 1708.04896) in place, every pixel of the box with noise of its own."""

    def erase(image: NDArray[Any]) -> NDArray[Any]:
        if np.random.rand() > probability:
            return image
        height, width, channels = image.shape
        while True:
            area = np.random.uniform(0.02, 0.4) * height * width
            aspect = np.random.uniform(0.3, 1 / 0.3)
            h, w = int(np.sqrt(area / aspect)), int(np.sqrt(area * aspect))
            top, left = np.random.randint(0, height), np.random.randint(0, width)
            if top + h <= height and left + w <= width:
                break
        image[top : top + h, left : left + w] = np.random.uniform(low, high, (h, w, channels))
        return image

    return erase


if __name__ == "__main__":
    main()
