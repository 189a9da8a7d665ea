"""Draws test accuracy against seconds and against training FLOPs, of one or more runs.

    python examples/accuracy_by_compute.py --out accuracy_by_compute.png runs/default runs/fast

A multiplication and an addition are two FLOPs. Counted are those of convolutions and dense layers, three times: once
forward, twice backward, for their inputs and their kernels. What does not train is counted once, and where nothing
before a layer trains, its inputs need no gradient.
"""

import argparse
import math
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from evacli.backend import keras
from evacli.figures.comparison import LOOKS
from evacli.figures.style import literal, save, styled
from evacli.models.nested import all_layers
from evacli.run import config_file, history, summary
from evacli.run.directory import RunDir


def training_flops(model: Any) -> int:
    """Of one image; the model's layers are in the order in which they compute."""
    total, trains_before = 0, False
    for layer in all_layers(model):
        kernel = getattr(layer, "kernel", None)
        if kernel is not None:
            forward = 2 * math.prod(kernel.shape) * math.prod(layer.output.shape[1:-1])
            total += forward * (1 + layer.trainable + trains_before)
        trains_before |= bool(layer.trainable_weights)
    return total


@dataclass(frozen=True)
class Course:
    """A run: its name for the legend, and, at each test, its test accuracy and what it had cost so far."""

    name: str
    accuracy: list[float]
    seconds: list[float]
    flops: list[int]


def course(path: Path) -> Course:
    """What a run directory tells."""
    run = RunDir(path)
    settings, trained, rows = config_file.read(run), summary.read(run), history.read_csv(run.history)
    tested = [row for row in rows if row.test_accuracy is not None]
    seconds = list(accumulate(row.seconds for row in rows))
    per_epoch = training_flops(keras.models.load_model(run.best_model, compile=False)) * trained.train_images
    wanted = settings.epochs if settings else trained.epochs_done
    state = "" if trained.state == "finished" else f", {trained.epochs_done} of {wanted} epochs so far"
    return Course(
        name=f"{path.name} ({trained.model}, top {trained.top_accuracy:.2%}{state})",
        accuracy=[row.test_accuracy for row in tested],
        seconds=[seconds[row.epoch - 1] for row in tested],
        flops=[per_epoch * row.epoch for row in tested],
    )


@styled
def draw(courses: list[Course]) -> Figure:
    """Two panels that share the accuracy."""
    figure = Figure(figsize=(11, 5))
    panels = figure.subplots(1, 2, sharey=True)
    for axes, cost, label in zip(panels, ("seconds", "flops"), ("seconds of training", "training FLOPs"), strict=True):
        _draw_panel(axes, courses, cost, label)
    panels[0].set_ylabel("test accuracy")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def _draw_panel(axes: Axes, courses: list[Course], cost: str, label: str) -> None:
    for drawn, look in zip(courses, LOOKS, strict=False):
        style = {"color": look.color, "dashes": look.dashes or (None, None), "marker": ".", "markersize": 4}
        axes.plot(getattr(drawn, cost), drawn.accuracy, label=literal(drawn.name, 80), **style)
    axes.set_xscale("log")
    axes.set_xlabel(label)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=Path("accuracy_by_compute.png"))
    arguments = parser.parse_args()
    courses = [course(path) for path in arguments.runs]
    for done in courses:
        print(f"{done.name}: {done.flops[-1]:.3g} FLOPs, {done.seconds[-1]:,.0f} s")
    save(draw(courses), arguments.out)
