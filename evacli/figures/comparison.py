"""The curves of several runs, against epochs and against time."""

import math
from collections.abc import Sequence
from io import BytesIO
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.textpath import text_to_path
from matplotlib.ticker import MaxNLocator, PercentFormatter
from PIL import Image

from evacli.figures.curves import FEW_EPOCHS
from evacli.figures.style import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION, literal, styled
from evacli.run.history import Row

WIDTH, HEIGHT, LINE = 11.0, 10.4, 0.21  # inches: the figure, its panels, and a line of the legend below them
LEGEND_SIZE, HANDLE = 9, 0.9  # points; inches of the line before a name and the space around both
LEFT, RIGHT, TOP, BOTTOM, GAP = 0.6, 0.15, 0.3, 0.55, 0.4  # inches around and between panels
PANELS = (
    ("Test accuracy", "test_accuracy"),
    ("Training accuracy (while it learns)", "train_accuracy"),
    ("Test loss", "test_loss"),
    ("Training loss (while it learns)", "train_loss"),
)
# Every colour comes with every dashes before the dashes change: the first seven runs are solid lines.
_DASHES: tuple[tuple[float, ...], ...] = ((), (5, 2), (1.2, 1.6), (7, 2, 1.2, 2))
_COLORS = (BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, GREY)
_ENDS = {"unfinished": ">", "failed": "X"}
LOG_FROM = 5  # the ratio of the highest loss to the lowest from which on their axis is logarithmic


class Look(NamedTuple):
    """How one run is drawn: a colour, and on and off lengths in line widths, empty for a solid line."""

    color: str
    dashes: tuple[float, ...]


# As many as can be told apart.
LOOKS = tuple(Look(color, dashes) for dashes, color in product(_DASHES, _COLORS))


class Course(NamedTuple):
    """One run of a comparison; `top_epoch` is 0 before any is done, `state` that of its summary."""

    label: str
    rows: Sequence[Row]
    top_epoch: int
    state: str


@styled
def draw_comparison(courses: Sequence[Course]) -> Figure:
    """Test and training accuracy and loss of each run: epochs on the left, seconds of training on the right.

    A star is the epoch that a run's best model is from; a cross and an arrow end the curves of a failed and of an
    unfinished run. Axes of one quantity have one scale, so that training and test compare too.

    Args:
        courses: at most as many as there are `LOOKS`.

    Returns:
        The figure, higher for more runs.
    """
    columns = _legend_columns(courses)
    legend_height = LINE * (math.ceil(len(courses) / columns) + 1)
    grid, figure = _panels(HEIGHT + legend_height)
    for axes, (title, column) in zip(grid, PANELS, strict=True):
        _plot(axes, courses, column)
        for part in axes:
            part.set_title(title)
    _scale(grid, courses)
    place = {"loc": "center", "bbox_to_anchor": (0.5, legend_height / figure.get_figheight() / 2)}
    figure.legend(handles=_handles(courses), ncols=columns, fontsize=LEGEND_SIZE, handlelength=4, **place)
    return figure


def _panels(height: float) -> tuple[np.ndarray, Figure]:
    # Margins by hand: a layout engine takes longer than all the rest, and each half must stand alone.
    rows = len(PANELS)
    panel = (HEIGHT - TOP - BOTTOM - GAP * (rows - 1)) / rows
    margins = {
        "left": LEFT / WIDTH,
        "right": 1 - RIGHT / WIDTH,
        "top": 1 - TOP / height,
        "bottom": (height - HEIGHT + BOTTOM) / height,
        "wspace": (LEFT + RIGHT) / (WIDTH / 2 - LEFT - RIGHT),
        "hspace": GAP / panel,
    }
    figure = Figure(figsize=(WIDTH, height))
    figure.set_layout_engine("none")
    grid: np.ndarray = figure.subplots(rows, 2, sharex="col", gridspec_kw=margins)  # (P, 2)
    return grid, figure


def _legend_columns(courses: Sequence[Course]) -> int:
    font = FontProperties(size=LEGEND_SIZE)
    labels = (literal(_label(course), 60) for course in courses)
    widths = [text_to_path.get_text_width_height_descent(label, font, ismath=False)[0] for label in labels]  # points
    widest = max(widths) / 72  # inches
    return max(1, min(len(courses), int(WIDTH / (widest + HANDLE))))


def _label(course: Course) -> str:
    return course.label + (f" ({course.state})" if course.state in _ENDS else "")


def _handles(courses: Sequence[Course]) -> list[Line2D]:
    return [
        Line2D([], [], color=look.color, dashes=_on_off(look), linewidth=2, label=literal(_label(course), 60))
        for course, look in zip(courses, LOOKS, strict=False)
    ]


def _on_off(look: Look) -> tuple[float | None, ...]:
    return look.dashes or (None, None)


def _values(rows: Sequence[Row], column: str) -> np.ndarray:
    values = np.array([getattr(row, column) for row in rows], float)  # (E,)
    return np.where(np.isfinite(values), values, np.nan)  # what is not finite is a gap


def _plot(axes: Sequence[Axes], courses: Sequence[Course], column: str) -> None:
    longest = max(len(course.rows) for course in courses)
    for course, look in zip(courses, LOOKS, strict=False):
        measured = np.array([getattr(row, column) is not None for row in course.rows], bool)
        values = _values(course.rows, column)[measured]
        dots = "." if longest <= FEW_EPOCHS or len(values) == 1 else ""
        times = (x[measured] for x in (_values(course.rows, "epoch"), np.cumsum(_values(course.rows, "seconds"))))
        for part, x in zip(axes, times, strict=True):
            part.plot(x, values, color=look.color, dashes=_on_off(look), linewidth=1.5, marker=dots, label=course.label)
            if course.state in _ENDS:
                end = _ENDS[course.state]
                part.plot(x[-1:], values[-1:], end, color=look.color, markersize=8, markeredgecolor="black")
            if column == "test_accuracy":
                top = np.array([row.epoch == course.top_epoch for row in course.rows], bool)[measured]
                _mark(part, x, values, look, top)


def _mark(axes: Axes, x: np.ndarray, values: np.ndarray, look: Look, top: np.ndarray) -> None:
    axes.plot(x[top], values[top], "*", color=look.color, markersize=11, markeredgecolor="white", zorder=3)


def _scale(grid: np.ndarray, courses: Sequence[Course]) -> None:
    accuracies, losses = grid[:2], grid[2:]  # (2, 2) each
    for group in (accuracies, losses):
        for axes in group.flat[1:]:
            axes.sharey(group.flat[0])
    accuracies.flat[0].autoscale(axis="y")
    for axes in accuracies.flat:
        axes.yaxis.set_major_formatter(PercentFormatter(1))
    _scale_losses(losses, [row for course in courses for row in course.rows])
    for axes, label in zip(grid[-1], ("epoch", "seconds of training"), strict=True):
        axes.set_xlabel(label)
    grid[-1, 0].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    grid[-1, 1].set_xlim(left=0)


def _scale_losses(losses: np.ndarray, rows: Sequence[Row]) -> None:
    values = np.concatenate([_values(rows, "test_loss"), _values(rows, "train_loss")])
    positive = values[values > 0]
    if positive.size and positive.max() > LOG_FROM * positive.min():
        for axes in losses.flat:
            axes.set_yscale("log")
    else:
        losses.flat[0].autoscale(axis="y")
        losses.flat[0].set_ylim(bottom=0)


def cut_panels(picture: Path) -> tuple[bytes, bytes]:
    """Return the left and the right panels of a saved comparison, without its legend, as PNGs."""
    image = Image.open(picture)
    middle, bottom = image.width // 2, round(image.width * HEIGHT / WIDTH)
    return _cut(image, (0, 0, middle, bottom)), _cut(image, (middle, 0, image.width, bottom))


def _cut(image: Image.Image, box: tuple[int, int, int, int]) -> bytes:
    out = BytesIO()
    image.crop(box).save(out, format="PNG")
    return out.getvalue()
