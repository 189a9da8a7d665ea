"""What every data source turns into."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evacli.data.images import Images

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Split:
    """Images of one split with their labels.

    Attributes:
        images: N pictures, RGB.
        labels: (N,) int64, each an index into the class names.
        names: N names: the file's path relative to the data folder, or what the format calls the image; the decimal
            index in the split where it has no name.
    """

    images: Images
    labels: NDArray[np.int64]
    names: Sequence[str]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: NDArray[np.integer]) -> "Split":
        """Return the images at `indices`, in that order."""
        return Split(self.images.take(indices), self.labels[indices], [self.names[i] for i in indices])


@dataclass(frozen=True)
class Source:
    """What a data source holds, before limits and splits.

    Attributes:
        train: all training images.
        test: all test images; None: a part of the training images has to serve.
        class_names: the name of each label.
        validation: the source's own validation images, if it has some beside the test images.
        flippable: whether an image mirrored left to right still shows its class.
        said: what was understood, a sentence without its full stop; empty where there was no choice.
        drawn: the split of each image by name, if tests have now been drawn from the training images.
    """

    train: Split
    test: Split | None
    class_names: tuple[str, ...]
    validation: Split | None = None
    flippable: bool = True
    said: str = ""
    drawn: Mapping[str, str] | None = None

    @property
    def has_tests(self) -> bool:
        """Whether there are test images."""
        return self.test is not None


@dataclass(frozen=True)
class Data:
    """A data set ready for use.

    Attributes:
        train: what the network learns from.
        validation: cut off the training images by `--val-split`, or what a folder of images has beside its test split,
            else None.
        test: what the network is evaluated on.
        class_names: the name of each label.
        flippable: whether an image mirrored left to right still shows its class; digits do not.
        fingerprint: hexadecimal digest over pixels, labels and class names of all splits.
        mean: grey level of each channel over the training images, rounded.
        std: standard deviation of each channel, in grey levels; at least 1.
        drawn: the split of each image by name, if tests have now been drawn from the training images.
    """

    train: Split
    validation: Split | None
    test: Split
    class_names: tuple[str, ...]
    flippable: bool
    fingerprint: str
    mean: Colour
    std: Colour
    drawn: Mapping[str, str] | None = None

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, 3) in pixels."""
        return self.train.images.shape

    @property
    def num_classes(self) -> int:
        """How many classes there are."""
        return len(self.class_names)
