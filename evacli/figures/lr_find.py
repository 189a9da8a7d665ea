"""The curve of a learning-rate range test."""

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evacli.figures.style import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION, styled
from evacli.run.lr_result import Curve, LrFindResult, smoothed_around

SIZE, CHOSEN_SIZE = 8, 11  # of markers, in points
_MARKS = (("P", "black"), ("o", VERMILION), ("s", GREEN), ("^", ORANGE), ("v", SKY), ("D", PURPLE), ("X", GREY))


@styled
def lr_find(
    result: LrFindResult,
    curve: Curve,
    suggestions: Mapping[str, float | None],
    running: Sequence[float] | None = None,
) -> Figure:
    """Loss against learning rate, on a logarithmic axis, with suggestions marked, above the short trainings.

    Args:
        result: of the range test.
        curve: of its sweep.
        suggestions: a learning rate, or None, by rule, to be marked on the smoothed curve.
        running: the running average of the losses, if it is to be shown: other rules read that, and it comes late.
    """
    short = bool(result.short_trainings)
    figure = Figure(figsize=(8, 6.5 if short else 4.5))
    above, *below = figure.subplots(1 + short, sharex=True, squeeze=False, height_ratios=(3, 2)[: 1 + short])[:, 0]
    _sweep(above, result, curve, suggestions, running)
    for axes in below:
        _short_trainings(axes, result)
    (below or [above])[-1].set_xlabel("learning rate")
    return figure


def _sweep(
    axes: Axes,
    result: LrFindResult,
    curve: Curve,
    suggestions: Mapping[str, float | None],
    running: Sequence[float] | None,
) -> None:
    smoothed = smoothed_around(curve.losses)
    axes.plot(curve.learning_rates, curve.losses, ".", color=GREY, markersize=3, alpha=0.6, label="loss of each batch")
    if running is not None:
        axes.plot(curve.learning_rates, running, "--", color=GREY, linewidth=1, label="average so far, for other rules")
    axes.plot(curve.learning_rates, smoothed, color=BLUE, linewidth=2, label="smoothed")
    _range(axes, result)
    rates = {rule: rate for rule, rate in suggestions.items() if rate is not None}
    for rule, (marker, color) in zip(suggestions, _MARKS, strict=False):
        if rule in rates:
            look = marker, color, rule == result.rule, _size(rule, rates, result.rule)
            _mark(axes, rule, rates[rule], _height(rates[rule], curve.learning_rates, smoothed), look)
    axes.set(title="Range test: one batch at each learning rate", ylabel="loss", xscale="log")
    axes.set_ylim(limits(curve.losses, smoothed))
    # Below the flat start of the curve there is room, but not for many rules.
    axes.legend(loc="lower left") if running is None else axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))


def _short_trainings(axes: Axes, result: LrFindResult) -> None:
    """Draw what the short trainings came to; those that diverged as crosses at the upper edge."""
    steps = result.short_trainings[0].steps
    ended = {one.lr: one.loss for one in result.short_trainings if one.loss is not None}
    axes.plot(list(ended), list(ended.values()), "o-", color=BLUE, linewidth=1, label=f"loss after {steps} steps")
    _range(axes, result)
    if diverged := [one.lr for one in result.short_trainings if one.loss is None]:
        edge = axes.get_xaxis_transform()
        axes.plot(diverged, [0.93] * len(diverged), "x", color=VERMILION, transform=edge, label="diverged")
    if result.lr is not None:
        axes.axvline(result.lr, color="black", linewidth=1.5, zorder=1)
    axes.set(title=f"Short trainings of {steps} steps", ylabel="loss")
    axes.legend(loc="best")


def _range(axes: Axes, result: LrFindResult) -> None:
    """Shade the rates that look about as good as the one that is taken."""
    if result.low is not None and result.high is not None and result.low < result.high:
        axes.axvspan(result.low, result.high, color=SKY, alpha=0.25, linewidth=0, label="about as good", zorder=0)


def _size(rule: str, rates: Mapping[str, float], chosen: str) -> int:
    """Of the marker; larger than those that lie on it, so that its edge is seen."""
    drawn = sorted(rates, key=lambda other: other == chosen)  # from the lowest to the one on top
    above = drawn[drawn.index(rule) + 1 :]
    upon = sum(math.isclose(rates[other], rates[rule], rel_tol=0.25) for other in above)
    return (CHOSEN_SIZE if rule == chosen else SIZE) + 6 * upon


def _mark(axes: Axes, rule: str, rate: float, height: float, look: tuple[str, str, bool, int]) -> None:
    marker, color, is_chosen, size = look
    label = f"{rule} {rate:.2g}" + (" (for train)" if is_chosen else "")
    axes.axvline(rate, color=color, linestyle="-" if is_chosen else ":", linewidth=1.5, zorder=1)
    (mark,) = axes.plot(rate, height, marker, color=color, linestyle="none", label=label, zorder=4 if is_chosen else 3)
    mark.set(markersize=size, markeredgecolor="black" if is_chosen else "white")


def _height(rate: float, learning_rates: Sequence[float], smoothed: Sequence[float]) -> float:
    nearest = min(range(len(learning_rates)), key=lambda i: abs(math.log(learning_rates[i] / rate)))
    return smoothed[nearest]


def limits(losses: Sequence[float], smoothed: Sequence[float]) -> tuple[float, float]:
    """Return the range of the losses up to the lowest smoothed one, with room; the explosion may leave the picture.

    Returns:
        The lowest and the highest loss to show.
    """
    finite = [i for i, value in enumerate(smoothed) if math.isfinite(value)]
    if not finite:
        return 0.0, 1.0
    lowest = min(finite, key=smoothed.__getitem__)
    seen = [losses[i] for i in finite if i <= lowest] + [smoothed[lowest]]
    low, high = min(seen), max(seen)
    room = max(high - low, 0.1 * abs(high), 1e-3)
    return low - 0.1 * room, high + 0.25 * room
