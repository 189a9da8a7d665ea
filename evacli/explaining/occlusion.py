"""Occlusion: where a picture must not be covered (Zeiler and Fergus 2014, arXiv 1311.2901, section 4.2)."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evacli.backend import keras

GREY = 128
POSITIONS = 16  # of the square along each side
SHARE = 4  # of each side of the picture by that of the square
BATCH = 128


def occlusion(model: keras.Model, images: NDArray[Any], class_indices: NDArray[np.integer]) -> NDArray[np.float32]:
    r"""Compute how much the probability of a class falls while a grey square covers a place.

    With $x_{ij}$ the picture under a square that is centred at position $(i, j)$, $L^c_{ij} = \max(0, p^c(x) -
    p^c(x_{ij}))$, scaled to at most 1. The square has a quarter of each side of the picture, and 16 positions along it.
    It needs no layer, and takes 257 predictions a picture, however many classes are asked for.

    Args:
        model: gives class probabilities (B, C) for pixels 0..255.
        images: (N, H, W, 3) pixels 0..255, RGB; at least one.
        class_indices: (N,) the class to explain in each image, or (N, T) several.

    Returns:
        (N, 16, 16), or (N, T, 16, 16), fewer for smaller pictures; from 0 to 1.
    """
    targets = class_indices.reshape(len(images), -1)  # (N, T)
    maps = [_of_one(model, image, classes) for image, classes in zip(images, targets, strict=True)]
    stacked = np.stack(maps)
    return stacked.reshape(*class_indices.shape, *stacked.shape[2:])


def _of_one(model: keras.Model, image: NDArray[Any], classes: NDArray[np.integer]) -> NDArray[np.float32]:
    rows, columns = (_positions(side) for side in image.shape[:2])
    covered = np.stack([image, *_covered(image, rows, columns)]).astype(np.float32)
    starts = range(0, len(covered), BATCH)
    said = np.concatenate([model(covered[i : i + BATCH], training=False).numpy() for i in starts])[:, classes]
    drops = np.maximum(said[0] - said[1:], 0).T.reshape(len(classes), len(rows), len(columns))
    most = drops.max(axis=(1, 2), keepdims=True)
    scaled: NDArray[np.float32] = (drops / np.where(most > 0, most, 1)).astype(np.float32)
    return scaled


def _positions(side: int) -> list[slice]:
    """Return what the square covers of a side, at each of its positions: their centres lie evenly."""
    count, size = min(POSITIONS, side), max(1, side // SHARE)
    starts = [math.floor((i + 0.5) * side / count - size / 2) for i in range(count)]
    return [slice(max(0, start), start + size) for start in starts]


def _covered(image: NDArray[Any], rows: list[slice], columns: list[slice]) -> Iterator[NDArray[Any]]:
    for down in rows:
        for right in columns:
            covered = image.copy()
            covered[down, right] = GREY
            yield covered
