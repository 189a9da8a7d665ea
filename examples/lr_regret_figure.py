"""The picture of examples/lr_regret.py: accuracy against learning rate in every cell, and where the rules point."""

import math
from collections.abc import Mapping
from statistics import mean

import matplotlib.pyplot as plt
from lr_regret_table import Accuracies, Cell
from matplotlib.figure import Figure

from evacli.figures.style import BLUE, GREEN, GREY, ORANGE, VERMILION, styled

# Hollow and ever smaller, so that none hides another of the same rate.
MARKS = ((BLUE, "o", 130), (VERMILION, "s", 80), (ORANGE, "^", 50), (GREEN, "D", 25))


@styled
def draw(cells: Mapping[Cell, Accuracies], suggested: Mapping[Cell, Mapping[str, float]], rules: list[str]) -> Figure:
    """A panel for each cell.

    Args:
        cells: the accuracies in points.
        suggested: the rate of each rule.
        rules: those to mark, at most four.
    """
    figure, axes = plt.subplots(math.ceil(len(cells) / 3), 3, figsize=(10, 0.8 * len(cells) + 0.7), squeeze=False)
    for ax, (cell, accuracies) in zip(axes.flat, cells.items(), strict=False):
        _panel(ax, accuracies, suggested[cell], rules)
        ax.set_title(", ".join(cell))
    for ax in axes.flat[len(cells) :]:
        ax.set_axis_off()
    figure.supxlabel("peak learning rate", fontsize=10)
    figure.supylabel("test accuracy (%)", fontsize=10)
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside upper center", ncols=len(rules))
    return figure


def _panel(ax: plt.Axes, accuracies: Accuracies, suggested: Mapping[str, float], rules: list[str]) -> None:
    means = {lr: mean(by_seed.values()) for lr, by_seed in accuracies.items()}
    rates = sorted(means, key=float)
    ax.plot([float(lr) for lr in rates], [means[lr] for lr in rates], color=GREY, linewidth=1.2, zorder=1)
    for lr in rates:
        ax.scatter([float(lr)] * len(accuracies[lr]), accuracies[lr].values(), color=GREY, s=5, zorder=2)
    for rule, (colour, marker, size) in zip(rules, MARKS, strict=True):
        lr = suggested[rule]
        look = {"marker": marker, "s": size, "facecolors": "none", "edgecolors": colour, "linewidths": 2}
        ax.scatter([lr], [means[f"{lr:.6g}"]], label=rule, zorder=3, **look)
    ax.set_xscale("log")
