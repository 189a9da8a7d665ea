"""What must hold for the images and labels of every source."""

from collections import Counter

import numpy as np

from evacli.data.types import Source, Split
from evacli.errors import DataError
from evacli.formats import counted
from evacli.messages import listed

# Three poolings leave one pixel of it.
MIN_SIDE = 8


def check(source: Source) -> None:
    """Make sure that a network can be trained and evaluated on the source.

    Raises:
        DataError: naming the first thing that is wrong.
    """
    _check_class_names(source.class_names)
    splits = {"training": source.train}
    if source.test is not None:
        splits["test"] = source.test
    if source.validation is not None:
        splits["validation"] = source.validation
    for role, split in splits.items():
        _check_split(role, split, source)
    require_classes(source.train, source.class_names)


def require_classes(train: Split, class_names: tuple[str, ...]) -> None:
    """Raise DataError, naming them, if classes have no training image."""
    counts = np.bincount(train.labels, minlength=len(class_names))
    if missing := [name for name, count in zip(class_names, counts, strict=True) if count == 0]:
        images, leave = counted(len(train), "training image"), "leaves" if len(train) == 1 else "leave"
        raise DataError(
            f"{images} {leave} {len(missing)} of {len(class_names)} classes without any: {listed(missing)}.",
            "Add images of them, raise --limit-train or lower --val-split.",
        )


def _check_class_names(names: tuple[str, ...]) -> None:
    if len(names) < 2:
        raise DataError(f"There must be two classes at least, not {len(names)}.", "Add images of another class.")
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise DataError(f"Several classes have the same name: {listed(twice)}.", "Give each its own.")


def _check_split(role: str, split: Split, source: Source) -> None:
    images, labels = split.images, split.labels
    if len(images) == 0:
        raise DataError(f"There are no {role} images.", "Add some.")
    if not len(images) == len(labels) == len(split.names):
        raise DataError(
            f"The {role} split has {counted(len(images), 'image')} but {counted(len(labels), 'label')}.",
            "Give each image one.",
        )
    height, width, _ = images.shape
    if min(height, width) < MIN_SIDE:
        raise DataError(f"The {role} images are {width}x{height} pixels, expected {MIN_SIDE}x{MIN_SIDE} or more.")
    if images.shape != source.train.images.shape:
        expected = "x".join(map(str, source.train.images.shape[1::-1]))
        raise DataError(f"The {role} images are {width}x{height} pixels, the training images {expected}.")
    if labels.min() < 0 or labels.max() >= len(source.class_names):
        raise DataError(
            f"The {role} labels go from {labels.min()} to {labels.max()}, expected 0 to {len(source.class_names) - 1}.",
            "Number the classes from 0.",
        )
