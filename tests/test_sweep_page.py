import html
import math
import re

import pytest
from made_sweep import make_sweep, make_trial
from parsed_page import Page
from tiny_run import HOSTILE

from evacli.sweeping import charts, search
from evacli.sweeping.page import render_page

SWEEP = make_sweep()


def places(points: list[str]) -> list[tuple[float, ...]]:
    return [tuple(map(float, point.split(","))) for point in points]


def test_each_trial_crosses_the_axes_where_its_settings_are() -> None:
    drawn = charts.parallel(SWEEP, search.read(SWEEP.search))
    scales = {scale.name: scale for scale in drawn.scales}
    paths = {path.title.split(":")[0]: places(path.points) for path in drawn.paths}
    assert len(paths) == 14  # the one that failed has no accuracy
    for trial in SWEEP.trials[:-1]:
        path = paths[f"trial {trial.number}"]
        assert len(path) == len(trial.settings) + 1
        (low, low_text), (high, high_text) = scales["lr (logarithmic)"].ticks
        part = (path[0][0] - low) / (high - low)
        lr = math.exp(math.log(float(low_text)) + part * math.log(float(high_text) / float(low_text)))
        assert lr == pytest.approx(trial.settings["lr"], rel=0.01)
        optimizers = {text: x for x, text in scales["optimizer"].ticks}
        assert (optimizers[trial.settings["optimizer"]], scales["optimizer"].y) in path
        without_momentum = scales["momentum"].y not in [y for _, y in path]
        assert without_momentum == (trial.settings["optimizer"] == "adamw")
    assert {path.look for path in drawn.paths} == {"winner", "good", "other"}
    assert drawn.paths[-1].look == "winner"  # above all others


def test_curves_can_be_read_off_their_ticks() -> None:
    drawn = charts.curves(SWEEP)
    (bottom, least), *_, (top, most) = ((y, float(text.rstrip(" %"))) for y, text in drawn.y_ticks)
    for trial in SWEEP.trials[:-1]:
        (line,) = [line for line in drawn.lines if line.label == f"trial {trial.number}"]
        read = [least + (most - least) * (y - bottom) / (top - bottom) for _, y in places(line.points)]
        assert read == pytest.approx([100 * value for value in trial.curve.values()], abs=0.2)


def test_the_best_quarter_is_told_from_the_others() -> None:
    looks = charts.looks(SWEEP)
    assert [number for number, look in looks.items() if look != "other"] == [0, 1, 2, 3]
    assert looks[0] == "winner"


def test_the_page_says_what_was_found_and_obeys_no_stranger() -> None:
    text = render_page(SWEEP)
    page = Page(text)
    said = " ".join(page.text.split())
    assert SWEEP.command in said
    assert "80.00% (seed 1), 90.00% (seed 2): mean 85.00% , standard deviation 7.07%" in said.replace(" ,", " ,")
    assert "12 finished trials tell little" in said
    assert not {"script", "img", "iframe"} & {name for name, _ in page.elements}
    assert not [names for _, names in page.elements if any(name.startswith("on") for name in names)]
    assert "default-src 'none'" in text
    assert html.escape(HOSTILE[0]) in text
    assert re.search(r"\x1b", text) is None


def test_a_sweep_without_any_success_says_so() -> None:
    failed = make_trial(0, "failed", val_accuracy=None, val_epoch=0, curve={}, why="it was killed by SIGKILL")
    page = Page(render_page(make_sweep(trials=[failed], best=None, importance={}, command="", repeated=None)))
    assert "No trial came to its end" in page.text
    assert "polyline" not in {name for name, _ in page.elements}
