"""A row per epoch, to and from `history.csv`."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from evacli import spreadsheet
from evacli.errors import RunError
from evacli.run import tables
from evacli.run.directory import RunDir

Finite = Annotated[float, Meta(ge=0, le=1e12)]  # which refuses NaN too
Share = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=1, le=2**31 - 1)]
MAX_LOSS = 3.5e38  # losses are float32: beyond, there is only infinity


class Row(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One epoch. Losses are mean cross-entropies in nats without penalties; accuracies are shares of 1.

    The `train_` figures are means over the epoch's augmented batches, taken while the network changes; the others are
    measured at its end, and None where `--test-every` passes it over. `lr` is the rate of the epoch's last step. The
    `val_` ones exist only where there are validation images, `batch_size` only where it changes, under `--grow-batch`.
    """

    epoch: Count
    lr: Finite
    train_loss: float
    train_accuracy: Share
    test_loss: float | None
    test_accuracy: Share | None
    seconds: Finite
    val_loss: float | None = None
    val_accuracy: Share | None = None
    batch_size: Count | None = None

    def __post_init__(self) -> None:
        """Refuse numbers that no loss can be; one that is not finite can."""
        for loss in (self.train_loss, self.test_loss, self.val_loss):
            if loss is not None and MAX_LOSS < abs(loss) < math.inf:
                raise ValueError(f"a loss cannot be {loss:g}")

    @property
    def deciding_accuracy(self) -> float | None:
        """What the best epoch is chosen by: validation accuracy where there is one, else test accuracy."""
        return self.test_accuracy if self.val_accuracy is None else self.val_accuracy

    @property
    def deciding_loss(self) -> float | None:
        """What `--schedule plateau` watches: validation loss where there is one, else test loss."""
        return self.test_loss if self.val_loss is None else self.val_loss


COLUMNS = Row.__struct_fields__
_OPTIONAL = ("val_loss", "val_accuracy", "batch_size")


def to_csv(rows: Sequence[Row]) -> str:
    """Return the rows as CSV with a header line, floats to full precision; optional columns if they have values."""
    columns = [c for c in COLUMNS if c not in _OPTIONAL or any(getattr(row, c) is not None for row in rows)]
    return spreadsheet.to_csv(columns, ([getattr(row, c) for c in columns] for row in rows))


def read_csv(path: Path) -> list[Row]:
    """Return the rows of a `history.csv`.

    Raises:
        RunError: if the file is missing or is not such a table.
    """
    try:
        rows = [_row(cells) for cells in tables.read(path)]
        if not rows:
            raise ValueError("it has no rows")
        check_numbers(rows)
    except (OSError, ValueError, csv.Error) as e:
        raise RunError(
            f"{path} is not a history of epochs: {getattr(e, 'strerror', None) or e}.",
            f"Delete it and run evacli train{RunDir(path.parent).option}, which writes it again.",
        ) from e
    return rows


def _row(cells: dict[str, str]) -> Row:
    return msgspec.convert({name: cell or None for name, cell in cells.items()}, Row, strict=False)


def check_numbers(rows: Sequence[Row]) -> None:
    """Raise ValueError unless the epochs are numbered from 1."""
    for number, row in enumerate(rows, 1):
        if row.epoch != number:
            raise ValueError(f"epoch {row.epoch} is in the place of epoch {number}")


def best(rows: Sequence[Row]) -> Row | None:
    """Return the first row with the highest deciding accuracy; None if no epoch of them was tested."""
    tested = (row for row in rows if row.deciding_accuracy is not None)
    return max(tested, key=lambda row: (row.deciding_accuracy or 0.0, -row.epoch), default=None)
