"""Figures drawn with characters, so that they serve over ssh."""

import math
from collections.abc import Mapping, Sequence

from evacli.figures.lr_find import limits
from evacli.run.lr_result import smoothed_around

_COLORS = "red", "green", "blue", "magenta", "cyan", "orange", "gray"
_NARROWEST, _WIDEST, _HEIGHT = 30, 100, 18


def lr_find(
    learning_rates: Sequence[float], losses: Sequence[float], suggestions: Mapping[str, float | None], columns: int
) -> str:
    """Draw the smoothed loss against the learning rate, with every suggestion as a vertical line.

    Args:
        learning_rates: of each step.
        losses: of each step's batch in nats.
        suggestions: a learning rate, or None, by rule.
        columns: width of the terminal; no line is wider, unless it is narrower than 30.

    Returns:
        Lines with ANSI colours.
    """
    import plotext

    smoothed = smoothed_around(losses)
    low, high = limits(smoothed, smoothed)
    points = [(math.log10(x), y) for x, y in zip(learning_rates, smoothed, strict=True) if low <= y <= high]
    decades = range(math.ceil(points[0][0]), math.floor(points[-1][0]) + 1)

    plotext.terminal.limit(False, False)
    figure = plotext.figure.clear().theme("colorless")
    figure.plot_size(max(_NARROWEST, min(columns, _WIDEST)), _HEIGHT)
    figure.draw(figure.signal(*zip(*points, strict=True), marker="hd").lines())
    for (rule, rate), color in zip(suggestions.items(), _COLORS, strict=False):
        if rate is not None:
            figure.line(math.log10(rate), "vertical", pixel=color, style="dotted", label=rule)
    figure.label("learning rate", "x").label("smoothed loss", "y")
    figure.ruler("x").ticks(list(decades), [f"1e{decade}" for decade in decades])
    # On the lowest line of the canvas: below the flat start of the curve there is room.
    figure.legend(y=_HEIGHT - 5, va="bottom")
    # The terminal's own background instead of plotext's white behind coloured lines.
    return str(figure.build()).replace("\x1b[48;5;15m", "")
