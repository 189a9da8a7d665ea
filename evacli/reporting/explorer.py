"""What the page's script shows: the mistakes and some images that are right, each with what the network said of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from evacli.console import printable
from evacli.data.types import Split
from evacli.evaluation import Predictions
from evacli.reporting import sheets

if TYPE_CHECKING:
    from evacli.reporting.result import ReportResult

# Of the page's ten megabytes, in characters.
ROOM_FOR_ROWS = 1_400_000
ROOM_FOR_SHEETS = 5_100_000
ROOM_FOR_NEAR = 1_400_000

MOST_RIGHT = 600  # images that were recognised, of all classes together
RIGHT_OF_CLASS = 12
TOP = 5
NEAR = 500  # mistakes beside which the nearest training images are shown
PICTURED_FIRST = 1000  # mistakes whose pictures come before those of the images that were recognised
ORDERED_WELL = 200  # classes up to which the best order of the matrix takes no time


class Near(NamedTuple):
    """The training images that are nearest to mistakes.

    Attributes:
        train: all training images.
        mistakes: (Q,) indices of test images, the worst first.
        indices: (Q, K) the nearest training images of each.
    """

    train: Split
    mistakes: Sequence[int]
    indices: NDArray[np.int64]


@dataclass(frozen=True)
class Explorer:
    """What the script is given.

    Attributes:
        document: JSON.
        sheets: thumbnails, base64 of WebP pictures.
        near: the same of training images.
        notes: what the page has no room for, a sentence each.
    """

    document: str
    sheets: list[str]
    near: list[str]
    notes: list[str]


def explorer(
    result: "ReportResult",
    said: Predictions,
    split: Split,
    confusions: NDArray[np.int64],
    near: Near | None = None,
) -> Explorer:
    """Choose what the page shows of the test images, and pack their pictures.

    Args:
        result: the figures of the report.
        said: about the test images.
        split: the test images.
        confusions: (C, C) counts; row: true class.
        near: the training images that are nearest to the worst mistakes, if they were looked for.
    """
    worst, right = said.worst_first, least_sure_right(said, len(result.classes))
    rows = [_row(said, split, i) for i in (*right, *worst)]
    kept = len(right) + _fitting(rows[len(right) :], ROOM_FOR_ROWS)
    rows, worst = rows[:kept], worst[: kept - len(right)]
    order = [*worst[:PICTURED_FIRST], *right, *worst[PICTURED_FIRST:]]
    packed = sheets.pack(split.images, order, ROOM_FOR_SHEETS)
    place = {index: at for at, index in enumerate(order[: packed.held])}
    beside, near_sheets = _beside(near) if near else ({}, [])
    document = {
        "near": beside,
        "classes": [printable(score.name) for score in result.classes],
        "rows": [[*row, place.get(row[0], -1)] for row in rows],
        "columns": sheets.COLUMNS,
        "perSheet": sheets.PER_SHEET,
        "size": packed.size,
        "cell": packed.cell,
        "order": matrix_order(confusions) if result.many_classes else [],
        "confusions": [[*map(int, at), int(confusions[at])] for at in zip(*confusions.nonzero(), strict=True)]
        if result.many_classes
        else [],
    }
    notes = _notes(result, rows, len(worst), sum(index in place for index in worst))
    if 0 < len(beside) < result.mistakes:
        notes.append(f"The {len(beside):,} worst have the nearest training images beside them.")
    return Explorer(msgspec.json.encode(document).decode(), packed.sheets, near_sheets, notes)


def _beside(near: Near) -> tuple[dict[str, list[Any]], list[str]]:
    """Return place, class and name of the training images beside each mistake, and their sheets, as far as they fit."""
    order = list(dict.fromkeys(int(i) for i in near.indices.ravel()))  # those of the worst mistakes first
    packed = sheets.pack(near.train.images, order, ROOM_FOR_NEAR)
    place = {index: at for at, index in enumerate(order[: packed.held])}
    return {
        str(mistake): [[place[i], int(near.train.labels[i]), printable(near.train.names[i])] for i in map(int, own)]
        for mistake, own in zip(near.mistakes, near.indices, strict=True)
        if all(int(i) in place for i in own)
    }, packed.sheets


def _row(said: Predictions, split: Split, i: int) -> list[Any]:
    """Return index, name, true and predicted class, the true one's probability, the likeliest classes and theirs."""
    probabilities, name = said.probabilities[i], printable(split.names[i])
    top = np.argsort(-probabilities, kind="stable")[:TOP]
    return [
        i,
        "" if name == str(i) else name,
        int(said.labels[i]),
        int(said.predicted[i]),
        _short(said.true_probability[i]),
        top.tolist(),
        [_short(p) for p in probabilities[top]],
    ]


def _short(probability: float) -> float:
    return float(f"{probability:.4g}")


def _fitting(rows: Sequence[Any], room: int) -> int:
    lengths = np.cumsum([len(msgspec.json.encode(row)) + 6 for row in rows])
    return int(np.searchsorted(lengths, room))


def least_sure_right(said: Predictions, num_classes: int) -> list[int]:
    """Return indices of images that were recognised, of each class those that were so with the least confidence."""
    each = max(1, min(RIGHT_OF_CLASS, MOST_RIGHT // num_classes))
    right = np.flatnonzero(said.predicted == said.labels)
    right = right[np.argsort(said.true_probability[right], kind="stable")]
    labels = said.labels[right]
    return [int(i) for c in np.unique(labels) for i in right[labels == c][:each]]


def matrix_order(confusions: NDArray[np.int64]) -> list[int]:
    """Order classes so that those which are taken for one another stand side by side.

    Args:
        confusions: (C, C) counts; row: true class.

    Example:
        >>> matrix_order(np.array([[9, 0, 1], [0, 9, 0], [1, 0, 9]]))
        [1, 0, 2]
    """
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    shares = confusions / np.maximum(confusions.sum(axis=1, keepdims=True), 1)
    distance = 1 - (shares + shares.T) / 2
    np.fill_diagonal(distance, 0)
    tree = linkage(squareform(distance, checks=False), "average", optimal_ordering=len(shares) <= ORDERED_WELL)
    return [int(i) for i in leaves_list(tree)]


def _notes(result: "ReportResult", rows: Sequence[Any], mistakes: int, pictured: int) -> list[str]:
    notes = []
    if mistakes < result.mistakes:
        notes.append(f"The page has room for the {mistakes:,} worst of {result.mistakes:,} mistakes.")
    if pictured < mistakes:
        notes.append(f"It has pictures of the {pictured:,} worst mistakes; of the others it has the words.")
    return notes
