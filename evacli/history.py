"""A row per epoch, to and from `history.csv`."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import msgspec

from evacli.errors import RunError


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One epoch. Losses are mean cross-entropies in nats without penalties; accuracies are shares of 1.

    `lr` is the rate of the epoch's last step. The `test_` columns are measured on the split that chooses the best
    epoch: the test images, or the validation images under `--val-split`.
    """

    epoch: int
    lr: float
    train_loss: float
    train_accuracy: float
    test_loss: float
    test_accuracy: float
    seconds: float


COLUMNS = Row.__struct_fields__


def to_csv(rows: Sequence[Row]) -> str:
    """The rows as CSV with a header line, floats to full precision."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(msgspec.structs.astuple(row) for row in rows)
    return out.getvalue()


def read_csv(path: Path) -> list[Row]:
    """The rows of a `history.csv`.

    Raises:
        RunError: if the file is missing or is not such a table.
    """
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            return [msgspec.convert(row, Row, strict=False) for row in csv.DictReader(lines)]
    except (OSError, UnicodeDecodeError, csv.Error, msgspec.ValidationError) as e:
        raise RunError(f"{path} is not a history of epochs: {e}.", "Run evacli train again; it rewrites the file.") from e


def best(rows: Sequence[Row]) -> Row:
    """The first row with the highest test accuracy."""
    return max(rows, key=lambda row: (row.test_accuracy, -row.epoch))


