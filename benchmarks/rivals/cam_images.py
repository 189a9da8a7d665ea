"""What all Grad-CAM rivals explain, and how they say what they found."""

import argparse
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rivals.gate import Gate, training_images

IMAGES = 25
LAYER = "class_maps"  # the last feature map, 4x4x10


def images() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """(25, 32, 32, 3) pixels and (25,) classes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    pixels, labels = training_images(parser.parse_args().data)
    return pixels[:IMAGES], labels[:IMAGES]


def keras_model() -> Any:
    """The same network with the same random weights in every process."""
    import keras

    from evacli import models

    keras.utils.set_random_seed(0)
    return models.build("eva", (32, 32, 3), 10, (125, 123, 114), (63, 62, 67))


def gate(maps: NDArray[np.float32]) -> Gate:
    """The gate; the contest compares (25, 4, 4) `maps`, brought to 0..1, with those of the others."""
    brought = maps / (np.max(maps, axis=(1, 2), keepdims=True) + 1e-7)
    return Gate(maps=np.asarray(brought, float).round(5).tolist())
