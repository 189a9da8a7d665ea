"""Labelled pictures to evaluate a network on: the test part of what a path holds, or the only part that there is."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evacli import console
from evacli.data import folders, pictures, tree
from evacli.data.images import InMemory
from evacli.data.pictures import Size
from evacli.data.types import Split
from evacli.errors import DataError

EXPECTED = (
    "Expected: CIFAR batches (their folder or .tar.gz), an .npz with x_test, y_test and class_names, "
    "or a folder with <class>/ or test/<class>/ images."
)


@dataclass(frozen=True)
class Labelled:
    """Labelled pictures that have no common size yet.

    Attributes:
        part: which part of what was named, such as "test"; empty if it has no parts.
        class_names: those classes that have pictures.
        sized: reads all of them at a width and height.
    """

    part: str
    class_names: tuple[str, ...]
    sized: Callable[[Size], Split]


def of_folder(root: Path, *, skip_bad: bool) -> Labelled:
    """Return the pictures of a folder that has folders of classes, or one such folder for each part.

    Raises:
        DataError: if there are none, or for names and links as in `tree.scan`.
    """
    part, found = tree.scan_part(root)
    if not found.class_names:
        raise DataError(f"--data {root / part} has no folders of classes with images in them.", EXPECTED)
    return Labelled(part, found.class_names, lambda size: folders.read_part(root, found, size, skip_bad=skip_bad))


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

    def sized(size: Size) -> Split:
        return Split(InMemory(_resized(split.images.read(list(range(len(split)))), size)), labels, split.names)

    return Labelled(part, tuple(map(name, classes.tolist())), sized)


def _resized(images: NDArray[np.uint8], size: Size) -> NDArray[np.uint8]:
    if images.shape[2:0:-1] == size:
        return images
    folders.tell_resized(len(images), len(images), size)
    return np.stack([pictures.resized(image, size) for image in console.track(images, "resizing images")])
