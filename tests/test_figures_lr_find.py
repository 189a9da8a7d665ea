import itertools
import math
import re

import matplotlib.pyplot as plt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evacli.figures import lr_find, terminal
from evacli.figures.style import save
from evacli.lr_finder.suggest import end_of_fall, smooth

RATES = [1e-7 * 10 ** (i / 12) for i in range(97)]
LOSSES = [2.3 - 1 / (1 + math.exp(-2 * (math.log10(rate) + 2))) + max(0.0, rate - 0.3) * 40 for rate in RATES]
SMOOTHED = smooth(LOSSES)
SUGGESTIONS = {"valley": 0.002, "steep": None, "minimum/10": 0.03, "slide": 0.2}


def lines_of(text: str) -> list[str]:
    return re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()


# -- the picture -------------------------------------------------------------------------------------------------------


def test_every_suggestion_is_marked_where_it_lies_on_the_smoothed_curve():
    figure = lr_find.lr_find(RATES, LOSSES, SMOOTHED, SUGGESTIONS, "slide")
    (axes,) = figure.axes
    marks = {line.get_label(): line.get_xydata()[0] for line in axes.lines if not line.get_label().startswith("_")}
    for label, rate in (("valley 0.002", 0.002), ("minimum/10 0.03", 0.03), ("slide 0.2 (for train)", 0.2)):
        x, y = marks[label]
        assert x == rate
        nearest = min(range(len(RATES)), key=lambda i: abs(math.log(RATES[i] / rate)))
        assert y == lr_find.centred(LOSSES)[nearest]
    assert not any("steep" in label for label in marks)
    assert axes.get_xscale() == "log"


def test_markers_and_colours_tell_the_rules_apart():
    figure = lr_find.lr_find(RATES, LOSSES, SMOOTHED, SUGGESTIONS | {"steep": 0.1}, "slide")
    marked = [line for line in figure.axes[0].lines if line.get_linestyle() == "None" and len(line.get_xdata()) == 1]
    assert len({line.get_marker() for line in marked}) == 4
    assert len({line.get_color() for line in marked}) == 4


@pytest.mark.parametrize("chosen", ["valley", "slide"])
def test_of_rules_that_agree_each_has_an_edge_to_be_seen(chosen):
    figure = lr_find.lr_find(RATES, LOSSES, SMOOTHED, SUGGESTIONS | {"steep": 0.002, "minimum/10": 0.0021}, chosen)
    marked = [line for line in figure.axes[0].lines if line.get_linestyle() == "None" and len(line.get_xdata()) == 1]
    together = [line for line in marked if line.get_xdata()[0] < 0.01]
    drawn = sorted(together, key=lambda line: line.get_zorder())  # stable: of equal ones the later is above
    sizes = [line.get_markersize() for line in drawn]
    assert len(drawn) == 3
    assert all(below > above for below, above in itertools.pairwise(sizes))


@given(st.lists(st.floats(-1, 5, width=32), min_size=30, max_size=120))
def test_the_smoothed_line_stays_among_the_dots_that_it_smooths(losses):
    smoothed, width = lr_find.centred(losses), math.ceil(4 * max(1, len(losses) / 40)) + 1
    for i, value in enumerate(smoothed):
        near = losses[max(0, i - width) : i + width + 1]
        assert min(near) - 1e-6 <= value <= max(near) + 1e-6


def test_what_the_rule_read_is_marked_on_the_average_that_it_reads():
    step, height = end_of_fall(LOSSES)
    figure = lr_find.lr_find(RATES, LOSSES, SMOOTHED, {"foot": 0.03}, "foot", (step, height))
    (mark,) = [line for line in figure.axes[0].lines if "seen by foot" in line.get_label()]
    assert tuple(mark.get_xydata()[0]) == (RATES[step], SMOOTHED[step])
    seen = SMOOTHED[10:-5]
    lowest = min(seen)
    highest = max(seen[: seen.index(lowest) + 1])
    assert SMOOTHED[step] <= highest - 0.85 * (highest - lowest) < SMOOTHED[step - 1]


def test_the_explosion_does_not_flatten_the_descent():
    low, high = lr_find.limits(LOSSES, SMOOTHED)
    assert max(LOSSES) > 100
    assert low < min(SMOOTHED)
    assert max(LOSSES[:70]) < high < 4


@given(st.lists(st.floats(width=32), min_size=1, max_size=60))
def test_any_curve_has_limits_that_can_be_drawn(losses):
    low, high = lr_find.limits(losses, smooth(losses))
    assert low < high
    assert math.isfinite(high - low)


@pytest.mark.slow
@pytest.mark.parametrize("last", [math.nan, math.inf, 1e30])
def test_a_curve_with_a_bad_end_and_no_suggestion_is_drawn(tmp_path, last):
    losses = [*LOSSES[:80], last]
    save(
        lr_find.lr_find(RATES[:81], losses, smooth(losses), dict.fromkeys(SUGGESTIONS), "slide"), tmp_path / "curve.png"
    )
    assert plt.imread(tmp_path / "curve.png").shape[2] == 4


# -- in the terminal ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [30, 57, 80, 100, 300])
def test_no_line_is_wider_than_the_terminal(columns):
    lines = lines_of(terminal.lr_find(RATES, LOSSES, SUGGESTIONS, columns))
    assert 10 < len(lines) <= 20
    assert max(map(len, lines)) <= columns


def test_axes_and_rules_are_named():
    text = "\n".join(lines_of(terminal.lr_find(RATES, LOSSES, SUGGESTIONS, 90)))
    for name in ("learning rate", "smoothed loss", "1e-3", "valley", "minimum/10", "slide"):
        assert name in text
    assert "steep" not in text


def test_every_suggestion_is_a_line_of_its_own_colour():
    text = terminal.lr_find(RATES, LOSSES, SUGGESTIONS, 90)
    assert len(set(re.findall(r"\x1b\[38;5;(\d+)m", text))) == 3
    assert "\x1b[48" not in text  # the terminal's own background


def test_a_curve_with_a_bad_end_is_drawn_in_the_terminal():
    losses = [*LOSSES[:80], math.nan]
    assert lines_of(terminal.lr_find(RATES[:81], losses, dict.fromkeys(SUGGESTIONS), 80))
