"""The picture of examples/lr_regret.py: accuracy against learning rate in every cell, and where the rules point."""

import math
from collections.abc import Mapping, Sequence
from textwrap import fill

import matplotlib.pyplot as plt
from lr_regret_table import Accuracies, by_rule
from matplotlib.figure import Figure

from evacli.figures.style import BLUE, GREEN, GREY, ORANGE, VERMILION, styled

# Hollow and ever smaller, so that none hides another of the same rate.
MARKS = ((BLUE, "o", 130), (VERMILION, "s", 80), (GREEN, "D", 45), (ORANGE, "^", 25))
COLUMNS = 3


@styled
def draw(cells: Mapping[str, Accuracies], suggestions: list[dict[str, str]], rules: list[str]) -> Figure:
    """A panel for each cell.

    Args:
        cells: their accuracies.
        suggestions: the rows of suggestions.csv.
        rules: those to mark, at most four.
    """
    suggested = by_rule(suggestions)
    rows = math.ceil(len(cells) / COLUMNS)
    figure, axes = plt.subplots(rows, COLUMNS, figsize=(10, 2.3 * rows + 0.7), squeeze=False)
    for ax, (cell, accuracies) in zip(axes.flat, cells.items(), strict=False):
        _panel(ax, accuracies, {rule: suggested[rule][cell] for rule in rules})
        ax.set_title(fill(cell, 34), fontsize=9)
    for ax in axes.flat[len(cells) :]:
        ax.set_axis_off()
    figure.supxlabel("peak learning rate", fontsize=10)
    figure.supylabel("test accuracy (%)", fontsize=10)
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside upper center", ncols=len(rules))
    return figure


def _panel(ax: plt.Axes, accuracies: Accuracies, suggested: Mapping[str, Sequence[float]]) -> None:
    rates = sorted(accuracies.of)
    ax.plot(rates, [accuracies.mean(lr) for lr in rates], color=GREY, linewidth=1.2, zorder=1)
    for lr in rates:
        ax.scatter([lr] * len(accuracies.of[lr]), accuracies.of[lr].values(), color=GREY, s=5, zorder=2)
    for (rule, found), (colour, marker, size) in zip(suggested.items(), MARKS, strict=True):
        look = {"marker": marker, "s": size, "facecolors": "none", "edgecolors": colour, "linewidths": 2}
        ax.scatter(found, [accuracies.at(lr) for lr in found], label=rule, zorder=3, **look)
    ax.set_xscale("log")
