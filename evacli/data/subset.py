"""Choosing a part of a split: stratified, and the same for the same seed."""

import numpy as np
from numpy.typing import NDArray

from evacli.data.types import Split
from evacli.errors import DataError
from evacli.formats import counted


def choose(labels: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """Pick `count` images at random, of every class the same share, and of every class one if `count` allows.

    Unlike scikit-learn's `train_test_split` it accepts any count and classes of a single image.

    Args:
        labels: (N,) the classes to choose from.
        count: how many; at most N.
        seed: the same seed chooses the same images.

    Returns:
        (count,) indices into `labels`, ascending.
    """
    return np.sort(_drawn(labels, seed)[:count])


def _drawn(labels: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Return all indices into `labels` in an order of which each beginning holds the same share of every class."""
    order = np.random.default_rng(seed).permutation(len(labels))
    # The place of an image among those of its class, as a share of the class: the smallest shares, taken together,
    # hold the same part of every class; a class's first has share 0.
    share = np.empty(len(labels))
    for label in np.unique(labels):
        members = order[labels[order] == label]
        share[members] = np.arange(len(members)) / len(members)
    drawn: NDArray[np.int64] = order[np.argsort(share[order], kind="stable")]
    return drawn


def limited(split: Split, count: int | None, seed: int) -> Split:
    """Keep at most `count` images of the split; all of them if it is None."""
    if count is None or count >= len(split):
        return split
    return split.take(choose(split.labels, count, seed))


def divided(train: Split, share: float, seed: int) -> tuple[Split, Split]:
    """Cut `share` of the training images off: what is left to train on, and the validation images.

    A class of one image keeps it for training, which cannot do without.

    Raises:
        DataError: if there are too few images to leave some for both.
    """
    count = round(len(train) * share)
    drawn = _drawn(train.labels, seed)
    chosen = np.sort(drawn[np.bincount(train.labels)[train.labels[drawn]] > 1][:count])
    if not (0 < count < len(train) and len(chosen)):
        raise DataError(
            f"--val-split {share} of {counted(len(train), 'training image')} leaves none for one side.",
            "Give another share or more images.",
        )
    rest = np.setdiff1d(np.arange(len(train)), chosen)
    return train.take(rest), train.take(chosen)


def held_out(labels: NDArray[np.int64], share: float) -> NDArray[np.bool_]:
    """Choose the images that are kept for tests, of data that have no tests of their own.

    Of every class about `share`: one at least, and one at least is left, but of a class of one image none. The same for
    the same labels, whatever the seed of the training.

    Args:
        labels: (N,) the classes.
        share: of 1.

    Returns:
        (N,) whether each is kept.

    Example:
        >>> held_out(np.array([0, 0, 0, 0, 0, 1, 1, 2]), 0.2).sum()
        2
    """
    kept = np.zeros(len(labels), bool)
    drawn = _drawn(labels, seed=0)
    for label in np.unique(labels):
        members = drawn[labels[drawn] == label]
        kept[members[: min(max(round(share * len(members)), 1), len(members) - 1)]] = True
    return kept
