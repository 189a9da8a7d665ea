"""The curves of the page of a report."""

from collections.abc import Sequence

from evacli.pages.charts import Chart, Points, chart
from evacli.run.history import Row

LIKE = 1.05  # two learning rates that differ by less are drawn as one


def curves(rows: Sequence[Row], top_epoch: int, peaks: Sequence[float | None]) -> list[Chart]:
    """Return accuracy, loss and learning rate over the epochs, and the batch size where it changes.

    Args:
        rows: at least one epoch.
        top_epoch: the epoch that the best model is from.
        peaks: the highest learning rate of each epoch, where it is known; a row has that of the last step.
    """

    def of(look: str, label: str, name: str) -> tuple[str, str, Points]:
        return look, label, [(row.epoch, getattr(row, name)) for row in rows]

    def split(quantity: str) -> list[tuple[str, str, Points]]:
        names = ("train", "training"), ("test", "test"), ("val", "validation")
        return [of(look, label, f"{look}_{quantity}") for look, label in names]

    epochs = [row.epoch for row in rows]
    known = [(row, peak) for row, peak in zip(rows, peaks, strict=False) if peak is not None]
    falling = any(peak > LIKE * row.lr for row, peak in known)
    highest = [("rate", "highest of the epoch", [(row.epoch, peak) for row, peak in known])] if falling else []
    rates = [*highest, of("last", "last step", "lr")]
    return [
        chart("Accuracy", epochs, top_epoch, split("accuracy"), percent=True),
        chart("Loss (cross-entropy, nats)", epochs, top_epoch, split("loss")),
        chart("Learning rate", epochs, top_epoch, rates),
        *([chart("Batch size", epochs, top_epoch, [of("rate", "", "batch_size")])] if rows[0].batch_size else []),
    ]
