import math
from contextlib import suppress
from itertools import pairwise

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evacli.config import Config
from evacli.errors import RunError
from evacli.run import lr_result
from evacli.run.directory import RunDir
from evacli.run.lr_result import (
    Curve,
    LrFindResult,
    Range,
    ShortTraining,
    fits,
    read_curve,
    smoothed_around,
    suggestion,
)

CURVE = Curve(learning_rates=[0.001, 0.01, 0.1], losses=[2.3, 2.1, math.nan])


TOO_HIGH = ShortTraining(lr=5.0, steps=33, began=2.3, loss=None)


def make_result(**changes) -> LrFindResult:
    values = {
        "lr": 0.05,
        "rule": "valley",
        "suggestions": {"valley": 0.05, "slide": None},
        "problem": None,
        "range": Range(min_lr=1e-7, max_lr=10.0, steps=100, mode="exp"),
        "steps_taken": 93,
        "effort": "normal",
        "short_trainings": (ShortTraining(lr=0.05, steps=33, began=2.3, loss=1.9), TOO_HIGH),
        "low": 0.03,
        "high": 0.06,
        "certainty": "Quite sure.",
        "stopped": "diverged",
        "config": Config(cutout=16, crop=4, flip=True),
    }
    return LrFindResult(**values | changes)


@pytest.fixture
def run(tmp_path) -> RunDir:
    return RunDir(tmp_path)


def test_a_path_that_is_no_valid_utf8_survives(run):
    result = make_result(config=Config(data="caf\udce9"))
    lr_result.write(run, result, CURVE)
    assert suggestion(run) == result


# -- the learning rates ------------------------------------------------------------------------------------------------


def test_golden_rates_of_an_exponential_sweep():
    rates = Range(min_lr=1e-7, max_lr=10.0, steps=100, mode="exp").learning_rates()
    assert len(rates) == 100
    assert (rates[0], rates[-1]) == (1e-7, 10.0)
    assert rates[1] == pytest.approx(1.2045035402587825e-7)
    assert rates[50] == pytest.approx(0.001097498765493056)
    np.testing.assert_allclose(rates, np.geomspace(1e-7, 10, 100), rtol=1e-12)


def test_golden_rates_of_a_linear_sweep():
    rates = Range(min_lr=0.1, max_lr=0.5, steps=25, mode="linear").learning_rates()
    assert (rates[0], rates[12], rates[-1]) == (0.1, pytest.approx(0.3), 0.5)
    np.testing.assert_allclose(rates, np.linspace(0.1, 0.5, 25), rtol=1e-12)


@given(st.floats(1e-12, 1), st.floats(1.01, 1e6), st.integers(25, 300), st.sampled_from(["exp", "linear"]))
def test_rates_rise_and_stay_in_the_range(low, ratio, steps, mode):
    high = min(low * ratio, 1e6)
    rates = Range(min_lr=low, max_lr=high, steps=steps, mode=mode).learning_rates()
    assert all(a < b for a, b in pairwise(rates))
    assert (rates[0], rates[-1]) == (low, high)


# -- files -------------------------------------------------------------------------------------------------------------


def test_a_result_survives_the_run_directory(run):
    lr_result.write(run, make_result(), CURVE)
    assert suggestion(run) == make_result()


def test_pandas_reads_the_curve(run):
    lr_result.write(run, make_result(), CURVE)
    table = pd.read_csv(run.lr_find_csv)
    assert list(table.columns) == ["step", "lr", "loss", "smoothed_loss"]
    assert list(table.step) == [0, 1, 2]
    assert list(table.lr) == CURVE.learning_rates
    assert list(table.loss[:2]) == [2.3, 2.1]
    assert math.isnan(table.loss[2])
    # A Gaussian of one step: each of the two has exp(0) of itself; what lies beyond the ends repeats them.
    near, far = 1 + sum(math.exp(-k * k / 2) for k in range(1, 5)), sum(math.exp(-k * k / 2) for k in range(1, 5))
    assert table.smoothed_loss[0] == pytest.approx((near * 2.3 + far * 2.1) / (near + far))


@given(st.lists(st.floats(-1, 5, width=32), min_size=30, max_size=120))
def test_the_smoothed_line_stays_among_the_dots_that_it_smooths(losses):
    smoothed, width = smoothed_around(losses), math.ceil(4 * max(1, len(losses) / 40)) + 1
    for i, value in enumerate(smoothed):
        near = losses[max(0, i - width) : i + width + 1]
        assert min(near) - 1e-6 <= value <= max(near) + 1e-6


def test_a_result_from_before_there_were_short_trainings_is_read(run):
    old = msgspec.to_builtins(make_result())
    for name in ("effort", "short_trainings", "low", "high", "certainty"):
        del old[name]
    run.lr_find_json.write_bytes(msgspec.json.encode(old))
    assert suggestion(run).lr == 0.05


def test_a_curve_survives_the_run_directory(run):
    lr_result.write(run, make_result(), CURVE)
    np.testing.assert_array_equal(read_curve(run).losses, CURVE.losses)
    assert read_curve(run).learning_rates == CURVE.learning_rates


def test_no_range_test_no_suggestion(run):
    assert suggestion(run) is None


def test_a_range_test_without_an_answer_is_no_suggestion(run):
    lr_result.write(run, make_result(lr=None, problem="The loss never falls."), CURVE)
    assert suggestion(run) is None


@pytest.mark.parametrize(
    "change",
    [{"lr": -1.0}, {"lr": "fast"}, {"lr": 1e300}, {"steps_taken": None}, {"config": {"model": ""}}, {"surprise": 1}],
)
def test_a_result_with_a_wrong_value_is_refused_in_one_line(run, change):
    run.lr_find_json.write_bytes(msgspec.json.encode(msgspec.to_builtins(make_result()) | change))
    with pytest.raises(RunError, match=r"lr_find\.json is not the result of a range test") as refusal:
        suggestion(run)
    assert "\n" not in refusal.value.message
    assert "evacli lr-find" in refusal.value.fix


@given(st.binary(max_size=300))
def test_garbage_in_the_run_directory_is_a_clean_error(tmp_path_factory, garbage):
    run = RunDir(tmp_path_factory.mktemp("run"))
    run.lr_find_json.write_bytes(garbage)
    run.lr_find_csv.write_bytes(garbage)
    with pytest.raises(RunError):
        suggestion(run)
    with suppress(RunError):
        assert isinstance(read_curve(run), Curve)


@pytest.mark.parametrize("table", ["", "a,b\n1,2\n", "lr,loss\n1,none\n", "step,lr,loss\n0,1\n"])
def test_a_table_that_is_no_curve_is_refused(run, table):
    run.lr_find_csv.write_text(table)
    with pytest.raises(RunError, match="not the curve"):
        read_curve(run)


# -- does the suggestion fit? ------------------------------------------------------------------------------------------


def test_a_suggestion_fits_the_settings_it_was_made_with():
    assert fits(make_result(), Config(cutout=16, crop=4, flip=True)) == []


def test_what_the_curve_does_not_depend_on_may_differ():
    other = Config(cutout=16, crop=4, flip=True, lr=0.3, schedule="cosine", epochs=3, seed=9, limit_test=10)
    other = msgspec.structs.replace(other, precision="float32", tta=True)
    assert fits(make_result(), other) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("dataset", "mnist"),
        ("data", "elsewhere"),
        ("limit_train", 100),
        ("model", "resnet9"),
        ("cutout", 0),
        ("crop", 0),
        ("crop_border", "reflect"),
        ("flip", False),
        ("momentum", 0.5),
        ("weight_decay", 0.1),
        ("label_smoothing", 0.1),
        ("batch_size", 64),
    ],
)
def test_what_the_curve_depends_on_is_named_when_it_differs(field, value):
    other = msgspec.structs.replace(make_result().config, **{field: value})
    assert fits(make_result(), other) == [field]


def test_spellings_of_one_file_are_no_difference(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path)
    spellings = [
        Config(model=f"{folder}net.py{function}", data=f"{folder}data.npz{slash}")
        for folder in ("", "./", "link/", f"{tmp_path}/")
        for function, slash in (("", ""), (":build", "/"))
    ]
    for one in spellings:
        assert [fits(make_result(config=one), other) for other in spellings] == [[]] * len(spellings)
    other = Config(model="net.py:wide", data="sub/data.npz")
    assert fits(make_result(config=spellings[0]), other) == ["data", "model"]
