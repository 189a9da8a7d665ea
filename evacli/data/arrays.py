"""Bringing arrays of images and labels, as people keep them, to the one form that evacli uses."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evacli.data.checks import MIN_SIDE
from evacli.data.layout import natural
from evacli.errors import DataError
from evacli.messages import short

IMAGES_EXPECTED = "Expected: images from 0 to 255 or 0 to 1, (N, H, W), (N, H, W, 1 or 3) or (N, 1 or 3, H, W)."
LABELS_EXPECTED = "Expected: class numbers from 0 or names, (N,) or (N, 1), or one-hot rows (N, C)."
_BLOCK = 2**24  # numbers that are converted at a time

Array = NDArray[Any]


def rgb(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Make contiguous (N, H, W, 3) of grey (N, H, W), (N, H, W, 1) or RGB images."""
    grey = images[..., None] if images.ndim == 3 else images
    if grey.shape[-1] == 1:
        return np.repeat(grey, 3, axis=-1)
    return np.ascontiguousarray(images)


def indices(count: int) -> list[str]:
    """Return the names of images that have none: their indices."""
    return [str(i) for i in range(count)]


def pixels(splits: Sequence[tuple[str, Array]]) -> tuple[list[NDArray[np.uint8]], str]:
    """Tell what the numbers of images mean, and bring them to uint8 RGB.

    Args:
        splits: of each its name, for messages, and its images, see `check_shape`.

    Returns:
        (N, H, W, 3) for each split, and what was understood, empty if they were uint8 with channels last.

    Raises:
        DataError: if their numbers neither go from 0 to 255 nor from 0 to 1.

    Example:
        >>> pixels([("x", np.array([[[[0.0, 1.0]] * 8] * 8], np.float32).transpose(0, 3, 1, 2)[:, :1])])[0][0].shape
        (1, 8, 8, 3)
    """
    first = _channels_first([images for _, images in splits])
    scale, said = _scale(splits)
    ready = [rgb(_uint8(images.transpose(0, 2, 3, 1) if first else images, scale)) for _, images in splits]
    return ready, ", ".join(filter(None, (said, "channels first" if first else "")))


def check_shape(name: str, images: Array) -> None:
    """Raise DataError, naming the array, unless it has the shape of images; nothing is computed."""
    if images.dtype.kind not in "uif":
        raise DataError(f"{name} is {short(images.dtype)}, expected numbers.", IMAGES_EXPECTED)
    colours = images.ndim == 4 and (images.shape[-1] in (1, 3) or images.shape[1] in (1, 3))
    if not (images.ndim == 3 or colours):
        raise DataError(f"{name} has the shape {images.shape}.", IMAGES_EXPECTED)
    if len(images) == 0:
        raise DataError(f"{name} has no images.", "Add some.")
    height, width = images.shape[1:3] if images.ndim == 3 or images.shape[-1] in (1, 3) else images.shape[2:]
    if min(height, width) < MIN_SIDE:
        raise DataError(f"The images {name} are {width}x{height} pixels, expected {MIN_SIDE}x{MIN_SIDE} or more.")


def _channels_first(arrays: Sequence[Array]) -> bool:
    return all(array.ndim == 4 and array.shape[-1] not in (1, 3) for array in arrays)


def _scale(splits: Sequence[tuple[str, Array]]) -> tuple[float, str]:
    """Return what brings the numbers of all splits to 0..255, and what was understood."""
    if all(images.dtype == np.uint8 for _, images in splits):
        return 1, ""
    ranges = {name: (_extreme(images, np.min), _extreme(images, np.max)) for name, images in splits}
    ones = {
        name for name, images in splits if images.dtype.kind == "f" and 0 <= ranges[name][0] <= ranges[name][1] <= 1
    }
    if len(ones) == len(splits):
        return 255, "numbers from 0 to 1"
    for name, (lowest, highest) in ranges.items():
        # Also where they are not numbers at all, which no comparison holds for.
        if not 0 <= lowest <= highest <= 255 or name in ones:
            raise DataError(
                f"{name} goes from {lowest:g} to {highest:g}, expected 0 to 255, or 0 to 1 in all arrays.",
                "Save the images before they are normalised; evacli does that itself.",
            )
    return 1, "numbers from 0 to 255"


def _extreme(images: Array, of: Callable[[Array], Any]) -> float:
    return float(of(np.array([of(block) for block in _blocks(images)])))


def _uint8(images: Array, scale: float) -> NDArray[np.uint8]:
    if images.dtype == np.uint8:
        return images
    done = np.empty(images.shape, np.uint8)
    start = 0
    for block in _blocks(images):
        done[start : start + len(block)] = np.rint(block * scale) if block.dtype.kind == "f" else block
        start += len(block)
    return done


def _blocks(images: Array) -> list[Array]:
    size = max(1, _BLOCK // max(1, images[0].size))
    return [images[start : start + size] for start in range(0, len(images), size)]


def part(called: str, labels: Array, names: tuple[str, Array] | None) -> tuple[NDArray[np.int64], Callable[[int], str]]:
    """Tell what the labels of one part of a data set mean, which may lack classes; see `classes` for the arguments.

    Returns:
        (N,) numbers, and what gives the name of each.
    """
    flat = _flat(called, labels)
    if flat.dtype.kind in "US":
        (numbers,), found = _named([flat.astype("U")])
        return numbers, lambda number: found[number]
    numbers = _numbers(called, flat)
    if names is None:
        return numbers, str
    given = _checked_names(*names)
    if numbers.max() >= len(given):
        raise DataError(f"{called} goes up to {numbers.max()}, but {names[0]} has {len(given)} names.")
    return numbers, lambda number: str(given[number])


class Classes(NamedTuple):
    """What labels mean.

    Attributes:
        labels: (N,) of each split.
        names: of the classes.
    """

    labels: list[NDArray[np.int64]]
    names: tuple[str, ...]


def classes(splits: Sequence[tuple[str, Array]], names: tuple[str, Array] | None) -> Classes:
    """Tell what labels mean: class numbers from 0, names, or one-hot rows.

    Args:
        splits: of each its name, for messages, and its labels; the training images come first.
        names: what the array of the class names is called, and (C,) names, if the data has them.

    Raises:
        DataError: if they are none of these.
    """
    flat = [_flat(name, labels) for name, labels in splits]
    if all(labels.dtype.kind in "US" for labels in flat):
        return _named([labels.astype("U") for labels in flat])
    if any(labels.dtype.kind in "US" for labels in flat):
        raise DataError(f"{splits[0][0]} and {splits[-1][0]} are of different kinds.", LABELS_EXPECTED)
    numbers = [_numbers(name, labels) for (name, _), labels in zip(splits, flat, strict=True)]
    if names is not None:
        given = _checked_names(*names)
        if len(given) > len(numbers[0]):
            raise DataError(f"{names[0]} has {len(given)} names, too many for {len(numbers[0])} training images.")
        return Classes(numbers, tuple(given.tolist()))
    highest = int(max(labels.max() for labels in numbers))
    # Each class needs a training image. Numbers such as 10**15 could count up to anything.
    if highest >= len(numbers[0]):
        raise DataError(
            f"The labels {splits[0][0]} go up to {highest}, too many classes for {len(numbers[0])} training images.",
            "Number the classes from 0 without gaps.",
        )
    return Classes(numbers, tuple(indices(highest + 1)))


def _flat(name: str, labels: Array) -> Array:
    if labels.size and labels.ndim == 2 and labels.shape[1] == 1:
        return labels.reshape(-1)
    if labels.size and labels.ndim == 2 and labels.dtype.kind in "uifb" and _is_one_hot(labels):
        chosen: Array = labels.argmax(axis=1)
        return chosen
    if labels.ndim != 1 or labels.size == 0 or labels.dtype.kind not in "uifUS":
        raise DataError(f"{name} is {short(labels.dtype)} of shape {labels.shape}.", LABELS_EXPECTED)
    return labels


def _is_one_hot(labels: Array) -> bool:
    return bool(((labels == 0) | (labels == 1)).all() and (labels.sum(axis=1) == 1).all())


def _named(labels: Sequence[Array]) -> Classes:
    names = sorted({str(name) for split in labels for name in np.unique(split)}, key=natural)
    number = {name: i for i, name in enumerate(names)}
    return Classes([np.array([number[str(name)] for name in split], np.int64) for split in labels], tuple(names))


def _numbers(name: str, labels: Array) -> NDArray[np.int64]:
    if labels.dtype.kind == "f" and not (np.isfinite(labels).all() and (labels == np.rint(labels)).all()):
        raise DataError(f"{name} holds {short(labels.dtype)} that are not whole.", LABELS_EXPECTED)
    # Before they are made smaller, as which they could be any class.
    if labels.max() > np.iinfo(np.int64).max or labels.min() < 0:
        wrong = labels.max() if labels.min() >= 0 else labels.min()
        raise DataError(f"{name} has the class number {wrong}.", "Number the classes from 0 without gaps.")
    return labels.astype(np.int64)


def _checked_names(called: str, names: Array) -> Array:
    if names.ndim != 1 or names.dtype.kind != "U":
        raise DataError(f"{called} is {short(names.dtype)} of shape {names.shape}, expected text of shape (C,).")
    return names
