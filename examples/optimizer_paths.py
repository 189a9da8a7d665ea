"""Draws the path of each optimizer over a ravine, a saddle and a plateau; about a minute.

    python examples/optimizer_paths.py --out docs/images

The optimizers are those of evacli train --optimizer, with their defaults and a constant rate: the one of RATES that
needs the fewest steps for the three landscapes together. A network has places of all three kinds and one rate, so one
rate has to do for all of them here too.
"""

import argparse
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from evacli import config
from evacli.backend import keras, tf
from evacli.catalogue.optimizers import OPTIMIZERS
from evacli.engine import optimizers
from evacli.figures.style import SKY, VERMILION, save, styled

STEPS = 200
RATES = [digit * 10.0**power for power in range(-4, 3) for digit in (1, 2, 5)]
ARRIVED = 0.01  # of the loss at the start

WIDTH, HEIGHT = 1.25, 0.85  # the part of each landscape that is shown reaches from minus to plus this
STEP = {"marker": ".", "color": VERMILION, "markersize": 3.5, "linewidth": 1}
START = {"marker": "o", "color": "white", "markeredgecolor": "black", "markersize": 6, "linestyle": ""}
LOWEST = {"marker": "*", "color": "black", "markersize": 8, "linestyle": ""}
DEPTHS = LinearSegmentedColormap.from_list("depths", [SKY, "white"])


@dataclass(frozen=True)
class Landscape:
    """The loss at a point, where the paths begin, and the lowest points. The loss there is 0."""

    loss: Callable[[Any, Any], Any]
    start: tuple[float, float]
    lowest: list[tuple[float, float]]


def ravine(x: Any, y: Any) -> Any:
    """Thirty times as steep across as along; askew, as along an axis each weight could have a rate of its own."""
    right, up = x - 0.3, y + 0.1
    return (0.9 * right - 0.436 * up) ** 2 + 30 * (0.436 * right + 0.9 * up) ** 2


def saddle(x: Any, y: Any) -> Any:
    """Down to the middle along x, and from there down along y, to either side."""
    return (1.5 * x) ** 2 + (1 - (y / 0.6) ** 2) ** 2


def plateau(x: Any, y: Any) -> Any:
    """A hollow in a plain that is nearly level."""
    squared = ((x - 0.6) ** 2 + (y + 0.3) ** 2) / 0.3**2
    return squared / (1 + squared)


LANDSCAPES = {
    "ravine": Landscape(ravine, (-1.0, 0.3), [(0.3, -0.1)]),
    "saddle": Landscape(saddle, (-1.0, 0.001), [(0, -0.6), (0, 0.6)]),
    "plateau": Landscape(plateau, (-1.0, 0.5), [(0.6, -0.3)]),
}


@dataclass(frozen=True)
class Path2D:
    """The points of a path, and the loss at each, as a share of that at the start."""

    points: NDArray[np.float32]
    losses: NDArray[np.float64]

    @property
    def steps(self) -> int | None:
        """How many steps it took to come near a lowest point and stay there."""
        needed = int(np.flatnonzero(self.losses >= ARRIVED)[-1]) + 1
        return needed if needed < len(self.losses) else None


def walk(name: str, landscape: Landscape, rates: Sequence[float], steps: int = STEPS) -> list[Path2D]:
    """The path of an optimizer at each of the rates."""
    # A matrix of one row: Muon leaves vectors to Adam.
    point = keras.Variable(np.array([landscape.start], np.float32))
    made = config.make({"optimizer": name, "schedule": "constant"})
    optimizer = optimizers.make(made, [point])
    fresh = [variable.numpy() for variable in optimizer.variables]

    @tf.function
    def walked() -> Any:
        points = tf.TensorArray(tf.float32, steps + 1).write(0, point.value)
        for step in tf.range(steps):
            here = tf.convert_to_tensor(point.value)
            with tf.GradientTape() as tape:
                tape.watch(here)
                loss = landscape.loss(here[0, 0], here[0, 1])
            optimizer.apply([tape.gradient(loss, here)], [point])
            points = points.write(step + 1, point.value)
        return points.stack()

    paths = []
    for rate in rates:
        point.assign([landscape.start])
        for variable, value in zip(optimizer.variables, fresh, strict=True):
            variable.assign(value)
        optimizer.learning_rate.assign(rate)
        paths.append(_path(walked().numpy()[:, 0], landscape))
    return paths


def _path(points: NDArray[np.float32], landscape: Landscape) -> Path2D:
    with np.errstate(all="ignore"):  # at a rate that is too high, a path leads to infinity
        losses = landscape.loss(*points.T.astype(np.float64)) / landscape.loss(*landscape.start)
    return Path2D(points, np.nan_to_num(np.minimum(losses, 10), nan=10))


def best(name: str, rates: Sequence[float]) -> tuple[float, dict[str, Path2D]]:
    """The rate that suits an optimizer, and its path over each landscape at that rate."""
    walks = {title: walk(name, landscape, rates) for title, landscape in LANDSCAPES.items()}
    needed = [sum(paths[i].steps or STEPS for paths in walks.values()) for i in range(len(rates))]
    chosen = int(np.argmin(needed))
    return rates[chosen], {title: paths[chosen] for title, paths in walks.items()}


@styled
def draw(landscape: Landscape, paths: dict[str, tuple[float, Path2D]]) -> Figure:
    """A panel for each optimizer, and what the marks mean in the last one."""
    figure = Figure(figsize=(6, 7.2))
    figure.get_layout_engine().set(hspace=0.08, h_pad=0.08)
    *panels, key = figure.subplots(4, 3).flat
    for axes in (*panels, key):
        axes.set(xlim=(-WIDTH, WIDTH), ylim=(-HEIGHT, HEIGHT), aspect="equal")
        axes.set_axis_off()
    for axes, (name, (rate, path)) in zip(panels, paths.items(), strict=False):
        _draw_path(axes, landscape, path)
        _entitle(axes, f"{name} {rate:g}", f"{path.steps} steps" if path.steps else f"not in {STEPS} steps")
    _entitle(key, "name and rate", "steps to arrive")
    for label, look in {"start": START, "a step": STEP, "lowest point": LOWEST}.items():
        key.plot([], [], label=label, **look)
    key.legend(loc="upper left", fontsize=12, borderaxespad=0)
    return figure


def _entitle(axes: Axes, bold: str, plain: str) -> None:
    axes.set_title(f"{bold}\n", fontsize=13)
    axes.text(0, 1.05, plain, transform=axes.transAxes, fontsize=12)


def _draw_path(axes: Axes, landscape: Landscape, path: Path2D) -> None:
    x, y = np.meshgrid(np.linspace(-WIDTH, WIDTH, 200), np.linspace(-HEIGHT, HEIGHT, 140))
    heights = landscape.loss(x, y)
    # Closer together near the lowest point, where they would else be far apart.
    levels = 1.3 * landscape.loss(*landscape.start) * np.linspace(0, 1, 12) ** 2
    axes.contourf(x, y, heights, levels, cmap=DEPTHS)
    axes.contour(x, y, heights, levels, colors="white", linewidths=0.5)
    axes.plot(*path.points.T, **STEP)
    axes.plot(*landscape.start, **START)
    axes.plot(*np.transpose(landscape.lowest), **LOWEST)


def main(out: Path, names: Iterable[str] = OPTIMIZERS, rates: Sequence[float] = RATES) -> None:
    """Prints a row of a table for each optimizer, and writes a picture of each landscape into a folder."""
    found = {name: best(name, rates) for name in names}
    for name, (rate, paths) in found.items():
        print(f"| `{name}` | {rate:g} | " + " | ".join(str(path.steps or "-") for path in paths.values()) + " |")
    for title, landscape in LANDSCAPES.items():
        figure = draw(landscape, {name: (rate, paths[title]) for name, (rate, paths) in found.items()})
        save(figure, out / f"optimizers-{title}.png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path())
    main(parser.parse_args().out)
