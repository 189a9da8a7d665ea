import itertools
import math
import re

import matplotlib.pyplot as plt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evacli.config import Config
from evacli.figures import lr_find, terminal
from evacli.figures.style import save
from evacli.lr_finder.suggest import smooth
from evacli.run.lr_result import Curve, LrFindResult, Range, ShortTraining, smoothed_around

RATES = [1e-7 * 10 ** (i / 12) for i in range(97)]
LOSSES = [2.3 - 1 / (1 + math.exp(-2 * (math.log10(rate) + 2))) + max(0.0, rate - 0.3) * 40 for rate in RATES]
SMOOTHED = smooth(LOSSES)
CURVE = Curve(learning_rates=RATES, losses=LOSSES)
DIVERGED = ShortTraining(lr=1.0, steps=33, began=2.3, loss=None)
SUGGESTIONS = {"valley": 0.002, "steep": None, "minimum/10": 0.03, "slide": 0.2}


def made(rule: str, **values) -> LrFindResult:
    swept = Range(min_lr=1e-7, max_lr=10.0, steps=100, mode="exp")
    whole = {"lr": 0.1, "suggestions": {}, "problem": None, "range": swept, "steps_taken": 97, "stopped": None}
    return LrFindResult(rule=rule, config=Config(), **whole | values)


def picture(suggestions, chosen: str, curve: Curve = CURVE, running=None):
    return lr_find.lr_find(made(chosen), curve, suggestions, running)


def lines_of(text: str) -> list[str]:
    return re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()


# -- the picture -------------------------------------------------------------------------------------------------------


def test_every_suggestion_is_marked_where_it_lies_on_the_smoothed_curve():
    figure = picture(SUGGESTIONS, "slide")
    (axes,) = figure.axes
    marks = {line.get_label(): line.get_xydata()[0] for line in axes.lines if not line.get_label().startswith("_")}
    for label, rate in (("valley 0.002", 0.002), ("minimum/10 0.03", 0.03), ("slide 0.2 (for train)", 0.2)):
        x, y = marks[label]
        assert x == rate
        nearest = min(range(len(RATES)), key=lambda i: abs(math.log(RATES[i] / rate)))
        assert y == smoothed_around(LOSSES)[nearest]
    assert not any("steep" in label for label in marks)
    assert axes.get_xscale() == "log"


def test_markers_and_colours_tell_the_rules_apart():
    figure = picture(SUGGESTIONS | {"steep": 0.1}, "slide")
    marked = [line for line in figure.axes[0].lines if line.get_linestyle() == "None" and len(line.get_xdata()) == 1]
    assert len({line.get_marker() for line in marked}) == 4
    assert len({line.get_color() for line in marked}) == 4


@pytest.mark.parametrize("chosen", ["valley", "slide"])
def test_of_rules_that_agree_each_has_an_edge_to_be_seen(chosen):
    figure = picture(SUGGESTIONS | {"steep": 0.002, "minimum/10": 0.0021}, chosen)
    marked = [line for line in figure.axes[0].lines if line.get_linestyle() == "None" and len(line.get_xdata()) == 1]
    together = [line for line in marked if line.get_xdata()[0] < 0.01]
    drawn = sorted(together, key=lambda line: line.get_zorder())  # stable: of equal ones the later is above
    sizes = [line.get_markersize() for line in drawn]
    assert len(drawn) == 3
    assert all(below > above for below, above in itertools.pairwise(sizes))


def test_the_rates_that_look_about_as_good_are_shaded_and_the_short_trainings_drawn():
    short = [
        ShortTraining(lr=lr, steps=33, began=2.3, loss=loss) for lr, loss in ((0.01, 1.9), (0.03, 1.5), (0.1, 1.52))
    ]
    result = made("short trainings", lr=0.055, low=0.03, high=0.1, short_trainings=(*short, DIVERGED))
    above, below = lr_find.lr_find(result, CURVE, {"short trainings": 0.055}).axes
    for axes in above, below:
        (shade,) = [patch for patch in axes.patches if patch.get_label() == "about as good"]
        assert (shade.get_x(), shade.get_x() + shade.get_width()) == pytest.approx((0.03, 0.1))
    ended, diverged = (next(line for line in below.lines if what in line.get_label()) for what in ("33 steps", "div"))
    assert ended.get_xydata().tolist() == [[0.01, 1.9], [0.03, 1.5], [0.1, 1.52]]
    assert diverged.get_xdata().tolist() == [1.0]


def test_the_average_that_other_rules_read_is_drawn_with_them_alone():
    alone, all_rules = (picture(SUGGESTIONS, "slide", running=running) for running in (None, SMOOTHED))
    labels = [[line.get_label() for line in figure.axes[0].lines] for figure in (alone, all_rules)]
    assert [any("average so far" in label for label in some) for some in labels] == [False, True]


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
    curve = Curve(learning_rates=RATES[:81], losses=losses)
    save(picture(dict.fromkeys(SUGGESTIONS), "slide", curve), tmp_path / "curve.png")
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
