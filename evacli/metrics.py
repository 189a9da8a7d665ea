"""Which classes a classifier gets right, and which it takes for which."""

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support


class ClassScore(msgspec.Struct, frozen=True, kw_only=True):
    """How well one class is recognised; shares of 1, None where there is nothing to divide by.

    Attributes:
        name: the class.
        images: how many images show it.
        precision: of the images that were taken for it, how many show it.
        recall: of the images that show it, how many were taken for it.
        f1: harmonic mean of the two.
    """

    name: str
    images: int
    precision: float | None
    recall: float | None
    f1: float | None


class ConfusedPair(msgspec.Struct, frozen=True, kw_only=True):
    """Two classes that are taken for each other, without order.

    Attributes:
        first: the class that comes first in the list of classes.
        second: the other one.
        first_as_second: images of the first that were taken for the second.
        second_as_first: images of the second that were taken for the first.
    """

    first: str
    second: str
    first_as_second: int
    second_as_first: int

    @property
    def mistakes(self) -> int:
        """Both directions together."""
        return self.first_as_second + self.second_as_first


def count_confusions(labels: NDArray[np.int64], predicted: NDArray[np.int64], num_classes: int) -> NDArray[np.int64]:
    """The confusion matrix.

    Args:
        labels: (N,) true classes.
        predicted: (N,) predicted classes.
        num_classes: C, classes without images included.

    Returns:
        (C, C) counts; row: true class, column: predicted class.
    """
    counts: NDArray[np.int64] = confusion_matrix(labels, predicted, labels=range(num_classes))
    return counts


def score_classes(
    labels: NDArray[np.int64], predicted: NDArray[np.int64], class_names: Sequence[str]
) -> list[ClassScore]:
    """Precision, recall and F1 of each class, in the order of `class_names`."""
    columns = precision_recall_fscore_support(
        labels, predicted, labels=range(len(class_names)), average=None, zero_division=np.nan
    )
    return [
        ClassScore(name=name, images=int(images), precision=_known(p), recall=_known(r), f1=_known(f))
        for name, p, r, f, images in zip(class_names, *columns, strict=True)
    ]


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def most_confused(counts: NDArray[np.int64], class_names: Sequence[str], limit: int = 10) -> list[ConfusedPair]:
    """The pairs of classes with the most mistakes between them, most first; none without mistakes."""
    both = np.triu(counts + counts.T, k=1)  # (C, C), each pair once
    order = np.argsort(-both, axis=None, kind="stable")[:limit]
    return [
        ConfusedPair(
            first=class_names[i],
            second=class_names[j],
            first_as_second=int(counts[i, j]),
            second_as_first=int(counts[j, i]),
        )
        for i, j in zip(*np.unravel_index(order, both.shape), strict=True)
        if both[i, j]
    ]
