"""Whether maps show what the network uses: ROAD, remove and debias (Rong et al. 2022, arXiv 2202.00449)."""

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.linalg import spsolve

from evacli import console
from evacli.backend import keras
from evacli.explaining.options import Faithfulness

SHARES = 0.2, 0.4, 0.6, 0.8  # of the pixels that are removed
NOISE = 0.01 * 255  # deviation of the grey levels that are put in their place
# What a removed pixel takes of each neighbour: beside it, and across a corner (section 4.2 of the paper).
NEIGHBOURS = [((0, 1), 1 / 6), ((1, 0), 1 / 6), ((1, 1), 1 / 12), ((1, -1), 1 / 12)]


def compare(
    model: keras.Model, images: NDArray[Any], class_indices: NDArray[np.integer], maps: NDArray[np.floating], name: str
) -> list[Faithfulness]:
    """Measure maps, and beside them what needs no network: noise, and the middle of the picture.

    Args:
        model: gives class probabilities (B, C) for pixels 0..255.
        images: (N, H, W, 3) uint8.
        class_indices: (N,) the class that each map explains.
        maps: (N, h, w).
        name: what the maps are called.

    Returns:
        The maps, random ones and the centre, in this order.
    """
    sets = {name: maps, "random": _random(images.shape[:3]), "centre": _centre(images.shape[:3])}
    return [
        Faithfulness(name, *(_kept(model, images, class_indices, ordered, most) for most in (True, False)))
        for name, ordered in console.track(list(sets.items()), "removing pixels")
    ]


def _random(shape: tuple[int, ...]) -> NDArray[np.float32]:
    return np.random.default_rng(0).random(shape, np.float32)


def _centre(shape: tuple[int, ...]) -> NDArray[np.float32]:
    rows, columns = (np.linspace(-1, 1, side) for side in shape[1:])
    nearness: NDArray[np.float64] = -np.hypot(rows[:, None], columns[None, :])
    return np.broadcast_to(nearness, shape).astype(np.float32)


def _kept(
    model: keras.Model, images: NDArray[Any], classes: NDArray[np.integer], maps: NDArray[np.floating], most: bool
) -> float:
    """Return the mean probability that is left of the classes when pixels are removed, over all shares."""
    left = []
    for share in SHARES:
        removed = [
            without(image, where(heat, image.shape[:2], share, most)) for image, heat in zip(images, maps, strict=True)
        ]
        said = model.predict_on_batch(np.stack(removed))
        left.append(said[np.arange(len(classes)), classes].mean())
    return float(np.mean(left))


def where(heat: NDArray[np.floating], shape: tuple[int, int], share: float, most: bool) -> NDArray[np.bool_]:
    """Return which pixels are removed: a share of them, those that a map has most, or least, of."""
    large = cv2.resize(heat.astype(np.float32), shape[::-1], interpolation=cv2.INTER_LINEAR).ravel()
    order = np.argsort(-large if most else large, kind="stable")
    mask = np.zeros(large.size, bool)
    mask[order[: round(share * large.size)]] = True
    return mask.reshape(shape)


def without(image: NDArray[Any], removed: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Put in the place of removed pixels what their neighbours suggest, and a little noise.

    Each becomes the weighted mean of its eight neighbours, removed ones included: a system of linear equations.

    Args:
        image: (H, W, 3) pixels 0..255.
        removed: (H, W).
    """
    count, number = int(removed.sum()), np.full(removed.shape, -1)
    number[removed] = np.arange(count)
    rows, columns, values = [np.arange(count)], [np.arange(count)], [np.zeros(count)]
    known, total = np.zeros((count, image.shape[2])), np.zeros(count)
    for own, other, weight in _pairs(removed.shape):
        at = number[own][removed[own]]  # the removed ones of these, each with its neighbour
        there, pixels = number[other][removed[own]], image[other][removed[own]]
        total[at] += weight
        rows.append(at[there >= 0])
        columns.append(there[there >= 0])
        values.append(np.full((there >= 0).sum(), -weight))
        known[at] += weight * np.where(there[:, None] >= 0, 0, pixels)
    values[0] = total
    system = csr_array((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))))
    found = spsolve(system, known).reshape(count, -1)
    filled = image.astype(np.float32)
    filled[removed] = found + NOISE * np.random.default_rng(0).standard_normal(found.shape)
    return filled


def _pairs(shape: tuple[int, ...]) -> Iterator[tuple[Any, Any, float]]:
    """Yield, for each direction, the pixels that have a neighbour there, those neighbours, and their weight."""
    height, width = shape
    for (down, right), weight in NEIGHBOURS:
        first = slice(0, height - down), slice(max(0, -right), width - max(0, right))
        second = slice(down, height), slice(max(0, right), width - max(0, -right))
        yield first, second, weight
        yield second, first, weight
