"""Grad-CAM as notebooks have it: a function of one image, called in a loop, with a loop over channels inside."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from rivals.cam_images import LAYER, gate, images, keras_model


def main() -> None:
    pixels, classes = images()
    model = keras_model()
    at_gate = gate(np.stack([heat_map(p, c, model) for p, c in zip(pixels, classes, strict=True)]))
    while True:
        for image, label in zip(pixels, classes, strict=True):
            heat_map(image, label, model)
        at_gate.step_done()


def heat_map(image: NDArray[np.uint8], label: int, model: keras.Model) -> NDArray[Any]:
    """(4, 4) from (32, 32, 3)."""
    inputs = image[None].astype("float32")
    grad_model = keras.Model(model.inputs, [model.get_layer(LAYER).output, model.get_layer("scores").output])
    with tf.GradientTape() as tape:
        features, scores = grad_model(inputs)
        score = scores[:, label]
    pooled = tf.reduce_mean(tape.gradient(score, features), axis=(0, 1, 2)).numpy()
    weighted = features[0].numpy()
    for channel in range(weighted.shape[-1]):
        weighted[:, :, channel] *= pooled[channel]
    heat = np.maximum(weighted.sum(axis=-1), 0)
    return heat / (heat.max() + 1e-7)


if __name__ == "__main__":
    main()
