"""The curves of the page: what its template draws as SVG, in colours of the page and text that a phone shows."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from evacli.run.history import Row

LEFT, RIGHT, TOP, BOTTOM = 46, 352, 10, 166  # of the area between the axes, in the template's 360 x 190
FEW_EPOCHS = 30  # up to here each epoch is a dot, so that a single one is seen at all
LIKE = 1.05  # two learning rates that differ by less are drawn as one

Points = Iterable[tuple[float, float | None]]


class Line(NamedTuple):
    """A line of a chart: its style in the page, what it is called, and its points, "x,y" each."""

    look: str
    label: str
    points: list[str]


class Chart(NamedTuple):
    """A chart; ticks are a place and a text. `mark` is where a dotted line stands."""

    title: str
    lines: list[Line]
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    mark: float | None = None
    dots: bool = False


class _Axis:
    """Turns values into places between two ends."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        self._low, self._span = low, (high - low) or 1
        self._start, self._length = start, end - start

    def __call__(self, value: float) -> float:
        return round(self._start + (value - self._low) / self._span * self._length, 1)


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

    known = [(row, peak) for row, peak in zip(rows, peaks, strict=False) if peak is not None]
    falling = any(peak > LIKE * row.lr for row, peak in known)
    highest = [("rate", "highest of the epoch", [(row.epoch, peak) for row, peak in known])] if falling else []
    rates = [*highest, of("last", "last step", "lr")]
    return [
        _chart("Accuracy", rows, top_epoch, split("accuracy"), percent=True),
        _chart("Loss (cross-entropy, nats)", rows, top_epoch, split("loss")),
        _chart("Learning rate", rows, top_epoch, rates),
        *([_chart("Batch size", rows, top_epoch, [of("rate", "", "batch_size")])] if rows[0].batch_size else []),
    ]


def _chart(
    title: str, rows: Sequence[Row], mark: int, lines: list[tuple[str, str, Points]], *, percent: bool = False
) -> Chart:
    known = [
        (look, label, [(x, y) for x, y in points if y is not None and np.isfinite(y)]) for look, label, points in lines
    ]
    values = [y for _, _, points in known for _, y in points] or [0.0]
    y_ticks = _ticks(min(values) if percent else 0.0, 1.0 if percent and len(rows) == 1 else max(values))
    first, last = rows[0].epoch, rows[-1].epoch
    x = _Axis(first, last, LEFT, RIGHT) if last > first else _Axis(first - 1, first + 1, LEFT, RIGHT)
    y = _Axis(y_ticks[0], y_ticks[-1], BOTTOM, TOP)
    epochs = [e for e in _ticks(first, last, whole=True) if first <= e <= last] if last > first else [first]
    return Chart(
        title=title,
        lines=[Line(look, label, [f"{x(a)},{y(b)}" for a, b in points]) for look, label, points in known if points],
        x_ticks=[(x(e), f"{e:g}") for e in epochs],
        y_ticks=[(y(v), f"{v:.4g}" if not percent else f"{100 * v:.4g} %") for v in y_ticks],
        mark=x(mark) if first <= mark <= last else None,
        dots=len(rows) <= FEW_EPOCHS,
    )


def _ticks(low: float, high: float, *, whole: bool = False) -> list[float]:
    """Return round numbers, the first not above `low`, the last not below `high`."""
    from matplotlib.ticker import MaxNLocator

    ticks = MaxNLocator(nbins=5, integer=whole, min_n_ticks=2).tick_values(low, high if high > low else low + 1)
    return [round(float(tick), 12) for tick in ticks]
