"""Labelled pictures to evaluate a network on: the test part of what a path holds, or the only part that there is."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from evacli.data import decoding
from evacli.data.layout import Layout
from evacli.data.pictures import Fit, Size
from evacli.data.types import Split
from evacli.errors import DataError

EXPECTED = (
    "Expected: pictures in folders of classes (perhaps in test, zipped or not), a CSV list of path,label, an .npz with "
    "x_test, y_test, CIFAR batches, or IDX files."
)


@dataclass(frozen=True)
class Labelled:
    """Labelled pictures that have no common size yet.

    Attributes:
        part: which part of what was named, such as "test"; empty if it has no parts.
        class_names: those classes that have pictures.
        sized: reads all of them at a width and height, other proportions as training did.
    """

    part: str
    class_names: tuple[str, ...]
    sized: Callable[[Size, Fit], Split]


def of_files(part: str, found: Layout, *, skip_bad: bool) -> Labelled:
    """Return pictures in files, which stand as training images.

    Raises:
        DataError: if there are none.
    """
    if not found.class_names:
        raise DataError(f"{found.where} has no folders of classes with images in them.", EXPECTED)
    return Labelled(part, found.class_names, lambda size, fit: decoding.read_part(found, size, fit, skip_bad=skip_bad))


def of_split(part: str, split: Split, name: Callable[[int], str]) -> Labelled:
    """Return pictures that have been read.

    Args:
        part: what the split is called.
        split: the pictures, with a number for the class of each.
        name: of a class by its number.

    Raises:
        DataError: if there is no picture, or a number is below 0.
    """
    if not len(split):
        raise DataError(f"There are no {part} images.", "Add some.")
    classes, labels = np.unique(split.labels, return_inverse=True)
    if classes[0] < 0:
        raise DataError(f"The {part} labels begin at {classes[0]}.", "Number the classes from 0.")
    known = Split(split.images, labels.astype(np.int64), split.names)

    def sized(size: Size, fit: Fit) -> Split:
        if known.images.shape[1::-1] != size:
            decoding.tell_resized(len(known), len(known), size, fit)
        return decoding.split_of_size(known, size, fit)

    return Labelled(part, tuple(map(name, classes.tolist())), sized)
