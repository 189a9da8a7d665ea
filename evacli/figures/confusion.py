"""The confusion matrix as a picture."""

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from evacli.figures.style import literal, styled

MOST_WITH_NUMBERS = 20  # classes up to which a number fits into a cell
MOST_WITH_NAMES = 120  # beyond, every n-th name is written


@styled
def draw_confusion(counts: NDArray[np.int64], class_names: Sequence[str], images: str = "test images") -> Figure:
    """Draw the confusion matrix, coloured by the share of each true class, with the counts in the cells.

    The colour scale is a square root: otherwise the few mistakes of a good model would all look like none.

    Args:
        counts: (C, C); row: true class, column: predicted class.
        class_names: C names.
        images: what was predicted, for the title.

    Returns:
        The figure, larger for more classes.
    """
    n = len(class_names)
    side = float(np.clip(2.6 + 0.3 * n, 4.6, 17))
    figure = Figure(figsize=(side + 0.9, side), layout="compressed")  # the cells are square
    axes = figure.subplots()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)  # (C, C), rows sum to 1
    image = axes.imshow(shares, cmap="Blues", norm=PowerNorm(0.5, vmin=0, vmax=1), interpolation="nearest")
    _label(axes, class_names, f"Confusion matrix, {literal(images)}")
    if n <= MOST_WITH_NUMBERS:
        _write_counts(axes, counts, shares)
    fraction = 0.046 if n <= MOST_WITH_NUMBERS else 0.02
    bar = figure.colorbar(image, ax=axes, fraction=fraction, pad=0.02, format=PercentFormatter(1, decimals=0))
    bar.set_ticks([0, 0.01, 0.05, 0.2, 0.5, 1])
    bar.set_label("share of the true class")
    bar.outline.set_visible(False)
    return figure


def _label(axes: Axes, class_names: Sequence[str], title: str) -> None:
    n = len(class_names)
    axes.grid(visible=False)
    axes.set(xlabel="predicted class", ylabel="true class", title=title)
    axes.spines[:].set_visible(False)
    shown = range(0, n, -(-n // MOST_WITH_NAMES))
    names = [literal(class_names[i], limit=20) for i in shown]
    if len(shown) < n:
        axes.set(xlabel=f"predicted class, {len(shown)} of {n} named", ylabel=f"true class, {len(shown)} of {n} named")
    size = 9 if n <= MOST_WITH_NUMBERS else float(np.clip(640 / len(shown), 5.5, 9))
    axes.set_xticks(shown, names, rotation=90 if n > 12 else 45, ha="center" if n > 12 else "right", fontsize=size)
    if n <= 12:
        for label in axes.get_xticklabels():
            label.set_rotation_mode("anchor")
    axes.set_yticks(shown, names, fontsize=size)
    axes.tick_params(length=0, pad=3)


def _write_counts(axes: Axes, counts: NDArray[np.int64], shares: NDArray[np.float64]) -> None:
    colors = colormaps["Blues"](np.sqrt(shares))  # (C, C, 4) RGBA
    luminance = colors[..., :3] @ [0.2126, 0.7152, 0.0722]
    for (row, column), count in np.ndenumerate(counts):
        if count:
            color = "black" if luminance[row, column] > 0.45 else "white"
            axes.text(column, row, f"{count}", ha="center", va="center", color=color, fontsize=8)
