"""Charts of a page: what its templates draw as SVG, in colours of the page and text that a phone shows."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

LEFT, RIGHT, TOP, BOTTOM = 46, 352, 10, 166  # of the area between the axes, in the template's 360 x 190
FEW_EPOCHS = 30  # up to here each epoch is a dot, so that a single one is seen at all

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


class Axis:
    """Turns values between two ends into places between two others."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        self._low, self._span = low, (high - low) or 1
        self._start, self._length = start, end - start

    def __call__(self, value: float) -> float:
        """Return the place of a value."""
        return round(self._start + (value - self._low) / self._span * self._length, 1)


def chart(
    title: str, epochs: Sequence[int], mark: int, lines: list[tuple[str, str, Points]], *, percent: bool = False
) -> Chart:
    """Return a chart of figures by epoch.

    Args:
        title: of the chart.
        epochs: those that it shows, one at least.
        mark: the epoch at which a dotted line stands, if it is among them.
        lines: style, name, and points; those that are None or not finite are left out.
        percent: whether they are shares of 1.
    """
    known = [
        (look, label, [(x, y) for x, y in points if y is not None and np.isfinite(y)]) for look, label, points in lines
    ]
    values = [y for _, _, points in known for _, y in points] or [0.0]
    y_ends = ticks(min(values) if percent else 0.0, 1.0 if percent and len(epochs) == 1 else max(values))
    first, last = epochs[0], epochs[-1]
    x = Axis(first, last, LEFT, RIGHT) if last > first else Axis(first - 1, first + 1, LEFT, RIGHT)
    y = Axis(y_ends[0], y_ends[-1], BOTTOM, TOP)
    shown = [e for e in ticks(first, last, whole=True) if first <= e <= last] if last > first else [first]
    return Chart(
        title=title,
        lines=[Line(look, label, [f"{x(a)},{y(b)}" for a, b in points]) for look, label, points in known if points],
        x_ticks=[(x(e), f"{e:g}") for e in shown],
        y_ticks=[(y(v), f"{v:.4g}" if not percent else f"{100 * v:.4g} %") for v in y_ends],
        mark=x(mark) if first <= mark <= last else None,
        dots=len(epochs) <= FEW_EPOCHS,
    )


def ticks(low: float, high: float, *, whole: bool = False) -> list[float]:
    """Return round numbers, the first not above `low`, the last not below `high`."""
    from matplotlib.ticker import MaxNLocator

    ticks = MaxNLocator(nbins=5, integer=whole, min_n_ticks=2).tick_values(low, high if high > low else low + 1)
    return [round(float(tick), 12) for tick in ticks]
