"""Which classes a classifier gets right, and which it takes for which."""

from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support, top_k_accuracy_score

if TYPE_CHECKING:
    from evacli.evaluation import Predictions


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


class Confusion(msgspec.Struct, frozen=True, kw_only=True):
    """One class taken for another.

    Attributes:
        true: what the images show.
        predicted: what they were taken for.
        images: how many.
        share: of all images that show it, a share of 1.
    """

    true: str
    predicted: str
    images: int
    share: float


def count_confusions(labels: NDArray[np.int64], predicted: NDArray[np.int64], num_classes: int) -> NDArray[np.int64]:
    """Return the confusion matrix.

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


def balanced_accuracy(scores: Sequence[ClassScore]) -> float:
    """Return the mean recall of the classes that have images: accuracy as if each had as many as the others.

    Args:
        scores: what `score_classes` gives; at least one class has images.

    Returns:
        A share of 1.

    Example:
        >>> balanced_accuracy(score_classes(np.array([0, 0, 0, 1]), np.array([0, 0, 0, 0]), ("cat", "dog")))
        0.5
    """
    return fmean(score.recall for score in scores if score.recall is not None)


def macro_f1(scores: Sequence[ClassScore]) -> float:
    """Return the mean F1 of the classes that have images or were predicted, whichever their numbers.

    Args:
        scores: what `score_classes` gives.

    Returns:
        A share of 1.
    """
    return fmean(score.f1 for score in scores if score.f1 is not None)


def top_accuracy(said: "Predictions", count: int) -> float:
    """Return the share of images whose true class is among the `count` most probable; fewer than there are classes."""
    num_classes = said.probabilities.shape[1]
    return float(top_k_accuracy_score(said.labels, said.probabilities, k=count, labels=range(num_classes)))


class Bin(msgspec.Struct, frozen=True, kw_only=True):
    """Images that were predicted with about the same confidence; shares of 1.

    Attributes:
        low: the least probability of the predicted class.
        high: the next bin begins there.
        right: how many of them were recognised.
        wrong: how many were not.
        confidence: mean probability of the predicted class; None without images, like the next.
        accuracy: share of those that were recognised.
    """

    low: float
    high: float
    right: int
    wrong: int
    confidence: float | None
    accuracy: float | None

    @property
    def images(self) -> int:
        """How many images there are."""
        return self.right + self.wrong


def calibration(said: "Predictions", bins: int = 15) -> list[Bin]:
    """Return the images by the probability of their predicted class, in bins of equal width.

    Example:
        >>> calibration(Predictions(np.array([[0.9, 0.1], [0.8, 0.2]], np.float32), np.array([0, 1])), 2)[1].accuracy
        0.5
    """
    confidence = said.probabilities.max(axis=1).astype(np.float64)
    bin_of, right = _bins(confidence, bins), said.predicted == said.labels
    total, hits = np.bincount(bin_of, minlength=bins), np.bincount(bin_of, right, bins)
    sums = np.bincount(bin_of, confidence, bins)
    return [
        Bin(
            low=b / bins,
            high=(b + 1) / bins,
            right=int(hits[b]),
            wrong=int(total[b] - hits[b]),
            confidence=float(sums[b] / total[b]) if total[b] else None,
            accuracy=float(hits[b] / total[b]) if total[b] else None,
        )
        for b in range(bins)
    ]


def _bins(confidence: NDArray[np.float64], bins: int) -> NDArray[np.int64]:
    bin_of: NDArray[np.int64] = np.minimum((confidence * bins).astype(int), bins - 1)
    return bin_of


def accuracy_interval(said: "Predictions", level: float = 0.95) -> tuple[float, float]:
    """Return the bounds of the accuracy on as many other images of the same kind (Wilson's score interval).

    Example:
        >>> accuracy_interval(Predictions(np.array([[0.9, 0.1], [0.8, 0.2]], np.float32), np.array([0, 1])))
        (0.09453120573423074, 0.9054687942657693)
    """
    from scipy.stats import binomtest

    total = len(said.labels)
    bounds = binomtest(total - len(said.mistakes), total).proportion_ci(level, method="wilson")
    return float(bounds.low), float(bounds.high)


def calibration_error(said: "Predictions", bins: int = 15) -> float:
    """Return how far a network's confidence is from its accuracy (expected calibration error, Guo et al. 2017).

    Images are put into bins of equal width by the probability of their predicted class; of each bin, the mean of these
    probabilities and the accuracy are compared, and the differences are averaged over the images.

    Returns:
        A share of 1; 0 means that of the images predicted with 80 %, 80 % are right.

    Example:
        >>> calibration_error(Predictions(np.array([[0.9, 0.1], [0.8, 0.2]], np.float32), np.array([0, 0])))
        0.15
    """
    confidence = said.probabilities.max(axis=1).astype(np.float64)
    surplus = confidence - (said.predicted == said.labels)
    return float(np.abs(np.bincount(_bins(confidence, bins), surplus, bins)).sum() / len(confidence))


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def most_confused(counts: NDArray[np.int64], class_names: Sequence[str], limit: int = 10) -> list[Confusion]:
    """Return the ordered pairs of classes with the most mistakes, most first; none without mistakes."""
    mistakes = counts * ~np.eye(len(counts), dtype=bool)  # (C, C)
    order = np.argsort(-mistakes, axis=None, kind="stable")[:limit]
    return [
        Confusion(
            true=class_names[i],
            predicted=class_names[j],
            images=int(counts[i, j]),
            share=float(counts[i, j] / counts[i].sum()),
        )
        for i, j in zip(*np.unravel_index(order, counts.shape), strict=True)
        if mistakes[i, j]
    ]
