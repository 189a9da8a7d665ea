"""Accuracy, loss and learning rate by epoch."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from evacli.figures.style import BLUE, GREEN, GREY, ORANGE, SKY, VERMILION, styled
from evacli.run.history import Row

FEW_EPOCHS = 30  # up to here each epoch is a dot, so that a single one is seen at all
LIKE = 1.05  # two learning rates that differ by less are drawn as one


class _Curve(NamedTuple):
    label: str
    color: str
    prefix: str  # of the columns in a Row


@styled
def draw_curves(
    rows: Sequence[Row],
    top_epoch: int,
    chosen_by: str,
    *,
    tta: bool = False,
    peaks: Sequence[float | None] = (),
) -> Figure:
    """Accuracies above losses above the learning rate, on one axis of epochs, the best epoch marked.

    Args:
        rows: at least one epoch.
        top_epoch: the epoch that the best model is from.
        chosen_by: "test" or "validation": the split that the top epoch was chosen on.
        tta: whether that evaluated each image together with its mirror image.
        peaks: the highest learning rate of each epoch, where it is known; a row has that of the last step.

    Returns:
        The figure.
    """
    figure = Figure(figsize=(5.6, 6.8))
    accuracy, loss, rate = figure.subplots(3, 1, sharex=True, height_ratios=[3, 3, 1.3])
    curves = _curves(rows)
    for axes, quantity in (accuracy, "accuracy"), (loss, "loss"):
        _plot(axes, rows, curves, quantity)
    accuracy.yaxis.set_major_formatter(PercentFormatter(1))
    accuracy.set(title="Accuracy")
    if len(rows) == 1:
        accuracy.set_ylim(0, 1)
    loss.set(title="Loss (cross-entropy, nats)")
    loss.set_ylim(bottom=0)
    _plot_rate(rate, rows, peaks)
    _mark_top(figure, rows, top_epoch, curves, chosen_by)
    if tta:
        figure.supxlabel("except in training, each image is evaluated together with its mirror image", fontsize=9)
    accuracy.legend(loc="best")
    return figure


def _curves(rows: Sequence[Row]) -> list[_Curve]:
    curves = [_Curve("training (while it learns)", BLUE, "train"), _Curve("test", ORANGE, "test")]
    validated = any(row.val_accuracy is not None for row in rows)
    return [*curves, _Curve("validation", GREEN, "val")] if validated else curves


def _values(rows: Sequence[Row], name: str) -> np.ndarray:
    return np.array([getattr(row, name) for row in rows], float)  # (E,); None becomes NaN, a gap


def _dots(rows: Sequence[Row]) -> str:
    return "." if len(rows) <= FEW_EPOCHS else ""


def _plot(axes: Axes, rows: Sequence[Row], curves: Sequence[_Curve], quantity: str) -> None:
    for curve in curves:
        name = f"{curve.prefix}_{quantity}"
        measured = [row for row in rows if getattr(row, name) is not None]
        epochs, values = _values(measured, "epoch"), _values(measured, name)
        axes.plot(epochs, values, color=curve.color, label=curve.label, marker=_dots(measured), linewidth=1.6)


def _plot_rate(axes: Axes, rows: Sequence[Row], peaks: Sequence[float | None]) -> None:
    epochs, last = _values(rows, "epoch"), _values(rows, "lr")
    highest = np.array(peaks or [None] * len(rows), float)  # (E,); NaN where it is not known
    differing = bool(np.any(highest > LIKE * last))
    axes.plot(epochs, last, color=SKY if differing else GREY, label="last step", marker=_dots(rows), linewidth=1.6)
    axes.set(title="Learning rate", xlabel="epoch")
    if differing:
        axes.plot(epochs, highest, color=GREY, label="highest of the epoch", marker=_dots(rows), linewidth=1.6)
        axes.legend(loc="best", fontsize=8)
    rates = np.append(last, highest[np.isfinite(highest)])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if rates.min() > 0 and rates.max() > 20 * rates.min():
        axes.set_yscale("log")
    else:
        axes.set_ylim(0, rates.max() * 1.15 or 1)
    if any(row.batch_size for row in rows):
        _plot_batch_size(axes, rows)


def _plot_batch_size(axes: Axes, rows: Sequence[Row]) -> None:
    axes.set(title="Learning rate, and batch size (dashed, right)")
    sizes = axes.twinx()
    sizes.step(_values(rows, "epoch"), _values(rows, "batch_size"), color=VERMILION, linestyle="--", where="mid")
    sizes.spines["right"].set_visible(True)
    sizes.grid(visible=False)
    sizes.set_ylim(0, _values(rows, "batch_size").max() * 1.15)
    sizes.tick_params(axis="y", colors=VERMILION)


def _mark_top(figure: Figure, rows: Sequence[Row], top_epoch: int, curves: Sequence[_Curve], chosen_by: str) -> None:
    top = [row for row in rows if row.epoch == top_epoch]
    deciding = [curve for curve in curves if curve.label == chosen_by]
    if not (top and deciding):
        return
    for axes in figure.axes:
        axes.axvline(top_epoch, color=GREY, linestyle=":", linewidth=1.2, zorder=1)
    value = _values(top, f"{deciding[0].prefix}_accuracy")[0]
    figure.axes[0].plot(
        top_epoch, value, "*", color=deciding[0].color, markersize=14, markeredgecolor="white", clip_on=False
    )
    headline = f"Top {chosen_by} accuracy {value:.2%} at epoch {top_epoch}"
    only = chosen_by == "test" and sum(row.test_accuracy is not None for row in rows) == 1
    choice = "the only epoch that was tested" if only else f"epoch chosen by {chosen_by} accuracy"
    figure.suptitle(f"{headline}\n({choice})", fontsize=10)
