"""What the page of a sweep draws as SVG: the trials across all their settings, and their curves."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from evacli.formats import percent, spelled
from evacli.pages.charts import Axis, Chart, chart
from evacli.sweeping.result import SweepResult, TrialResult
from evacli.sweeping.search import Choices, Range, Space

_LEFT, _RIGHT, _FIRST, _STEP = 14, 346, 30, 60  # of the axes, which lie below each other, in 360 columns
_LONGEST = 14  # letters of a choice
LOOKS = (("other", "others"), ("good", "best quarter"), ("winner", "best"))


class Scale(NamedTuple):
    """An axis: its place from the top, its name, and its ticks, a place and a text each."""

    y: float
    name: str
    ticks: list[tuple[float, str]]


class Crossing(NamedTuple):
    """A trial across the axes: its style in the page, what it is, and its points."""

    look: str
    title: str
    points: list[str]


class Parallel(NamedTuple):
    """All trials across all axes; the last axis is the accuracy."""

    height: float
    scales: list[Scale]
    paths: list[Crossing]


def looks(result: SweepResult) -> dict[int, str]:
    """Return the style of each trial by its number: the best, the best quarter, and the others."""
    scored = sorted((t for t in result.trials if t.val_accuracy is not None), key=lambda t: -(t.val_accuracy or 0))
    good = {trial.number for trial in scored[: math.ceil(len(scored) / 4)]}
    found = {trial.number: "good" if trial.number in good else "other" for trial in result.trials}
    return found | ({} if result.best is None else {result.best: "winner"})


def parallel(result: SweepResult, space: Space) -> Parallel:
    """Return a line for each trial that was tested, from setting to setting, and down to its accuracy."""
    shown = _in_order(result)
    accuracies = [trial.val_accuracy or 0.0 for trial in shown]
    low, high = min(accuracies), max(accuracies)
    names = list(space)
    places: dict[str, Any] = {name: _place(space[name]) for name in names}
    ends = Axis(low, high, _LEFT, _RIGHT)
    at = {name: _FIRST + _STEP * number for number, name in enumerate(names)}
    bottom = _FIRST + _STEP * len(names)
    scales = [Scale(at[name], _named(name, space[name]), _ticks(space[name], places[name])) for name in names]
    of_accuracy = [(ends(value), percent(value)) for value in dict.fromkeys((low, high))]
    style = looks(result)
    paths = [
        Crossing(
            style[trial.number],
            f"trial {trial.number}: {percent(trial.val_accuracy)}",
            [f"{places[name](value)},{at[name]}" for name, value in trial.settings.items()]
            + [f"{ends(trial.val_accuracy or 0.0)},{bottom}"],
        )
        for trial in shown
    ]
    return Parallel(bottom + 30, [*scales, Scale(bottom, "validation accuracy", of_accuracy)], paths)


def curves(result: SweepResult) -> Chart:
    """Return the validation accuracy of each trial by epoch."""
    style = looks(result)
    lines = [(style[trial.number], f"trial {trial.number}", sorted(trial.curve.items())) for trial in _in_order(result)]
    return chart("Validation accuracy", range(1, result.epochs + 1), 0, lines, percent=True)  # type: ignore[arg-type]


def _in_order(result: SweepResult) -> Sequence[TrialResult]:
    """Return the trials that were tested, those last that are to lie above the others."""
    style, order = looks(result), [look for look, _ in LOOKS]
    tested = (trial for trial in result.trials if trial.val_accuracy is not None)
    return sorted(tested, key=lambda trial: order.index(style[trial.number]))


def _place(searched: Range | Choices) -> Any:
    """Return where on an axis a value lies."""
    if isinstance(searched, Choices):
        axis = Axis(-0.5, len(searched.values) - 0.5, _LEFT, _RIGHT)
        return lambda value: axis(searched.values.index(value))
    if searched.log:
        powers = Axis(math.log(searched.low), math.log(searched.high), _LEFT, _RIGHT)
        return lambda value: powers(math.log(value))
    return Axis(searched.low, searched.high, _LEFT, _RIGHT)


def _ticks(searched: Range | Choices, place: Any) -> list[tuple[float, str]]:
    shown: Mapping[Any, str] = {value: str(spelled(value))[:_LONGEST] for value in searched.ends}
    if isinstance(searched, Range):
        shown = {value: f"{value:g}" for value in searched.ends}
    return [(place(value), text) for value, text in shown.items()]


def _named(name: str, searched: Range | Choices) -> str:
    return f"{name} (logarithmic)" if isinstance(searched, Range) and searched.log else name
