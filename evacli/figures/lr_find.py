"""The curve of a learning-rate range test."""

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evacli.figures.style import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION, styled

SIZE, CHOSEN_SIZE = 8, 11  # of markers, in points
_MARKS = (("P", "black"), ("o", VERMILION), ("s", GREEN), ("^", ORANGE), ("v", SKY), ("D", PURPLE))


@styled
def lr_find(
    learning_rates: Sequence[float],
    losses: Sequence[float],
    running: Sequence[float],
    suggestions: Mapping[str, float | None],
    chosen: str,
    read: tuple[int, float] | None = None,
) -> Figure:
    """Loss against learning rate, on a logarithmic axis, with suggestions marked on the smoothed curve.

    Args:
        learning_rates: of each step.
        losses: of each step's batch in nats.
        running: the running average of these, which the rules read and which comes late.
        suggestions: a learning rate, or None, by rule.
        chosen: the rule whose suggestion `train` takes.
        read: the step and the running average at which the chosen rule sees the end of the fall.
    """
    figure = Figure(figsize=(8, 4.5))
    axes = figure.subplots()
    smoothed = centred(losses)
    axes.plot(learning_rates, losses, ".", color=GREY, markersize=3, alpha=0.6, label="loss of each batch")
    axes.plot(learning_rates, running, "--", color=GREY, linewidth=1, label="average so far, which rules read")
    axes.plot(learning_rates, smoothed, color=BLUE, linewidth=2, label="smoothed")
    if read is not None:
        axes.plot(learning_rates[read[0]], read[1], "x", color="black", label=f"85 % of its fall, seen by {chosen}")
    rates = {rule: rate for rule, rate in suggestions.items() if rate is not None}
    for rule, (marker, color) in zip(suggestions, _MARKS, strict=False):
        if rule in rates:
            look = marker, color, rule == chosen, _size(rule, rates, chosen)
            _mark(axes, rule, rates[rule], _height(rates[rule], learning_rates, smoothed), look)
    axes.set(title="Learning-rate range test", xlabel="learning rate", ylabel="loss", xscale="log")
    axes.set_ylim(limits(losses, smoothed))
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def centred(losses: Sequence[float]) -> list[float]:
    """Smooth losses with a Gaussian around each step, a fortieth of all steps wide; from a bad one on, leave them."""
    import numpy as np
    from scipy.ndimage import gaussian_filter1d

    good = next((i for i, loss in enumerate(losses) if not math.isfinite(loss)), len(losses))
    smoothed = gaussian_filter1d(np.asarray(losses[:good], float), max(1.0, len(losses) / 40), mode="nearest")
    return [*smoothed.tolist(), *losses[good:]] if good else list(losses)


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
