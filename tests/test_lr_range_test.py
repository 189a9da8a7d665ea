import functools
import itertools
import json
import math
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
from engine_room import train, twin
from PIL import Image
from tiny_data import TINY
from tiny_run import make_data
from typer.testing import CliRunner

from evacli import config
from evacli.cli import app
from evacli.data import load
from evacli.engine.base import Batches, EpochFigures, Figures, Hook
from evacli.engine.fast.layers import FusedBatchNormalization
from evacli.errors import Contradiction, NoSuggestion, RunBusy
from evacli.lr_finder import measure, range_test
from evacli.lr_finder.measure import sweep, train_briefly
from evacli.lr_finder.range_test import lr_find
from evacli.lr_finder.suggest import RULES
from evacli.run import checkpoint, config_file
from evacli.run.directory import RunDir
from evacli.run.locking import exclusive
from evacli.run.lr_result import Range, suggestion
from evacli.training.batching import Batching
from evacli.training.learner import Learner, assemble

RATES = Range(min_lr=1e-4, max_lr=1.0, steps=30, mode="exp").learning_rates()


class FakeEngine:
    """Has its losses ready, and asks its hooks after every few steps."""

    def __init__(self, losses: Iterable[float], every: int) -> None:
        self._losses, self._every = iter(losses), every
        self.stretches: list[Batches] = []

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, arrays: dict[str, Any]) -> None:
        pass

    def run(self, batches: Batches, hooks: Sequence[Hook]) -> EpochFigures:
        self.stretches.append(batches)
        for start in range(0, len(batches), self._every):
            some = batches.controls[start : start + self._every]
            for hook in hooks:
                hook.after(Figures([next(self._losses) for _ in some], some[-1].lr, 1.0, 0.5))
        return EpochFigures(1.0, 0.5)


def fake(num_images: int = 52, batch_size: int | str = 8, losses: Iterable[float] | None = None, every: int = 1) -> Any:
    """A learner of six full batches and a small one, without a network."""
    engine = FakeEngine(itertools.repeat(1.0) if losses is None else losses, every)
    return SimpleNamespace(engine=engine, batching=Batching(config.make({"batch_size": batch_size}), num_images))


def make_learner(model: str = TINY, num_images: int = 52, **settings: Any) -> Learner:
    plain = {"batch_size": 8, "precision": "float32", "lr": 0.1, "cutout": 0, "crop": 0, "flip": False}
    return assemble(config.make(plain | {"model": model} | settings), make_data(num_train=num_images))


def state(learner: Learner) -> dict[str, list[bytes]]:
    """Every bit that training could change."""
    return {group: [array.tobytes() for array in arrays] for group, arrays in learner.engine.state().items()}


# -- what a sweep measures ---------------------------------------------------------------------------------------------


def softmax_regression(learner: Learner, rates: Sequence[float]) -> Iterator[float]:
    """Losses of SGD with momentum 0.9 on cross-entropy and an L2 penalty of 1e-2, worked out by hand."""
    split = learner.data.train
    pixels = np.asarray(learner.network.get_layer("normalise")(split.images.array.astype(np.float32)), np.float64)
    x, y = pixels.reshape(len(pixels), -1), np.eye(3)[split.labels]
    kernel, bias = (weight.astype(np.float64) for weight in learner.network.get_weights())
    velocities = [np.zeros_like(kernel), np.zeros_like(bias)]
    order = itertools.chain.from_iterable(
        np.random.default_rng([0, epoch]).permutation(len(x))[:48].reshape(6, 8) for epoch in itertools.count()
    )
    for rate, chosen in zip(rates, order, strict=False):
        scores = x[chosen] @ kernel + bias
        p = np.exp(scores - scores.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        yield -np.mean(np.log((p * y[chosen]).sum(1))) + 1e-2 * (kernel**2).sum()
        slope = (p - y[chosen]) / len(chosen)
        gradients = x[chosen].T @ slope + 2e-2 * kernel, slope.sum(0)
        velocities = [0.9 * v - rate * g for v, g in zip(velocities, gradients, strict=True)]
        kernel, bias = kernel + velocities[0], bias + velocities[1]


def test_losses_are_those_of_each_batch_under_sgd_with_momentum() -> None:
    learner = make_learner(TINY.replace(":tiny", ":linear"), optimizer="momentum", momentum=0.9)
    rates = Range(min_lr=1e-5, max_lr=1e-2, steps=30, mode="exp").learning_rates()
    expected = list(softmax_regression(learner, rates))
    curve = sweep(learner, rates)
    np.testing.assert_allclose(curve.losses, expected, rtol=1e-4)
    assert curve.learning_rates == rates


def test_each_step_runs_at_its_own_rate() -> None:
    learner = fake()
    sweep(learner, RATES)
    controls = [control for stretch in learner.engine.stretches for control in stretch.controls]
    assert [control.lr for control in controls] == RATES
    assert {control.momentum for control in controls} == {None}


def test_full_batches_of_one_epoch_after_the_other() -> None:
    learner = fake()
    sweep(learner, RATES)
    assert [len(stretch) for stretch in learner.engine.stretches] == [6] * 5
    for epoch, stretch in enumerate(learner.engine.stretches):
        assert len(stretch.indices) == 48
        order = np.random.default_rng([0, epoch]).permutation(52)
        assert (stretch.indices == order[:48]).all()
        assert stretch.numbers.tolist() == [7 * epoch + batch for batch in range(6)]


def test_where_all_images_make_one_update_each_rate_gets_them_all() -> None:
    rates = [1e-3 * 1.2**i for i in range(5)]
    parts, whole = (
        sweep(make_learner(TINY.replace(":tiny", ":linear"), 300, optimizer="sgd", batch_size=size), rates)
        for size in ("full", 300)
    )
    assert len(parts.losses) == 5
    np.testing.assert_allclose(parts.losses, whole.losses, rtol=1e-4)


def test_the_loss_of_an_update_is_the_mean_of_its_parts() -> None:
    learner = fake(300, "full", losses=[1.0, 2.0, 6.0, 1.0, 1.0, 1.0])
    assert sweep(learner, [0.1, 0.2]).losses == [3.0, 1.0]
    assert [len(stretch.indices) for stretch in learner.engine.stretches] == [300, 300]


def test_fewer_images_than_a_batch_are_enough() -> None:
    assert len(sweep(fake(num_images=5), RATES).losses) == 30


def test_a_sweep_traces_nothing_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    call, traces = FusedBatchNormalization.call, []

    @functools.wraps(call)
    def traced(*args: Any, **kwargs: Any) -> Any:
        traces.append(1)
        return call(*args, **kwargs)

    monkeypatch.setattr(FusedBatchNormalization, "call", traced)
    learner = make_learner()
    sweep(learner, RATES[:25])
    assert traces
    traces.clear()
    sweep(learner, RATES)
    assert not traces


# -- when it stops -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("every", [1, 4, 100])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_it(bad: float, every: int) -> None:
    curve = sweep(fake(losses=[1.0] * 5 + [bad] + [1.0] * 99, every=every), RATES)
    assert len(curve.losses) == len(curve.learning_rates) == 6
    assert curve.losses[:5] == [1.0] * 5
    assert not math.isfinite(curve.losses[5])


@pytest.mark.parametrize("every", [1, 4, 100])
def test_an_exploding_loss_stops_it(every: int) -> None:
    curve = sweep(fake(losses=[1.0] * 20 + [1e4] * 99, every=every), RATES)
    assert len(curve.losses) == len(curve.learning_rates) == 21


def test_a_network_that_explodes_stops_it() -> None:
    steep = Range(min_lr=1e-3, max_lr=1e9, steps=200, mode="exp").learning_rates()
    curve = sweep(make_learner(optimizer="sgd"), steep)
    assert 25 < len(curve.losses) < 200


# -- what it leaves behind ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", ["momentum", "adam", "sgdw"])
def test_a_sweep_leaves_no_trace(optimizer: str) -> None:
    learner = make_learner(optimizer=optimizer)
    train(learner, 3)
    before = state(learner)
    sweep(learner, RATES)
    after = state(learner)
    del before["metrics"], after["metrics"]  # of the stretch that was under way; a sweep is one of its own
    assert after == before


def test_training_goes_on_as_if_there_had_been_no_sweep() -> None:
    swept, other = make_learner(), make_learner()
    sweep(swept, RATES)
    train(swept, 3)
    train(other, 3)
    assert state(swept) == state(other)


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_a_sweep_that_fails_leaves_no_trace(monkeypatch: pytest.MonkeyPatch, failure: type[BaseException]) -> None:
    learner = make_learner()
    weights = twin(learner).get_weights()

    class Failing:
        seen = 0

        def stop(self, loss: float) -> None:
            self.seen += 1
            if self.seen == 8:
                raise failure

    monkeypatch.setattr(measure, "Watch", Failing)
    with pytest.raises(failure):
        sweep(learner, RATES)
    assert all((a == b).all() for a, b in zip(weights, twin(learner).get_weights(), strict=True))
    assert int(twin(learner).optimizer.iterations) == 0


def test_sweeping_twice_gives_the_same() -> None:
    learner = make_learner()
    assert sweep(learner, RATES) == sweep(learner, RATES)


# -- short trainings ---------------------------------------------------------------------------------------------------


def test_a_short_training_has_the_whole_schedule_and_the_first_batches():
    learner = fake()
    train_briefly(learner, 0.2, 20)
    controls = [control for stretch in learner.engine.stretches for control in stretch.controls]
    rates = [control.lr for control in controls]
    assert len(rates) == 20
    assert max(rates) == pytest.approx(0.2, rel=0.01)
    assert rates[0] == pytest.approx(0.2 * 0.04)  # where one-cycle begins
    assert rates[-1] == pytest.approx(0.2 * 1e-5)
    assert [stretch.numbers[0] for stretch in learner.engine.stretches] == [0, 7, 14, 21]


def test_what_it_came_to_is_the_mean_over_its_last_fifth():
    brief = train_briefly(fake(losses=[*[3.0] * 16, 1.0, 2.0, 1.0, 2.0]), 0.1, 20)
    assert (brief.lr, brief.steps, brief.began, brief.loss) == (0.1, 20, 3.0, 1.5)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_one_that_diverges_says_so_and_stops(bad):
    learner = fake(losses=[2.0] * 5 + [bad] * 99)
    assert train_briefly(learner, 0.1, 20).loss is None


def test_where_all_images_make_one_update_a_short_training_takes_them_all():
    learner = fake(300, "full")
    train_briefly(learner, 0.1, 4)
    assert [len(stretch.indices) for stretch in learner.engine.stretches] == [300] * 4


@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
def test_a_short_training_leaves_no_trace_and_comes_to_the_same_again(optimizer):
    learner = make_learner(optimizer=optimizer)
    train(learner, 3)
    before = state(learner)
    first, second = (train_briefly(learner, 0.05, 12) for _ in range(2))
    after = state(learner)
    del before["metrics"], after["metrics"]
    assert after == before
    assert first == second


# -- the whole command, on a tiny network and real image files ---------------------------------------------------------

NETWORK = """
import keras

def build(input_shape, num_classes):
    return keras.Sequential([
        keras.Input(input_shape),
        keras.layers.Conv2D(4, 3, activation="relu"),
        keras.layers.BatchNormalization(),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(num_classes, activation="softmax"),
    ])
"""


@pytest.fixture(scope="module")
def settings(tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("input")
    (folder / "network.py").write_text(NETWORK)
    random = np.random.default_rng(0)
    for split, count in (("train", 40), ("test", 3)):
        for level, name in ((60, "dark"), (190, "bright")):
            place = folder / "images" / split / name
            place.mkdir(parents=True)
            for i in range(count):
                pixels = random.integers(level - 50, level + 50, (8, 8, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(place / f"{i}.png")
    return {
        "data": str(folder / "images"),
        "model": f"{folder / 'network.py'}:build",
        "batch_size": 8,
        "precision": "float32",
    }


def options(settings: dict) -> list[str]:
    return [part for name, value in settings.items() for part in (config.option(name), str(value))]


@pytest.fixture(autouse=True)
def _undrawn(monkeypatch):
    """No pictures, since drawing takes a second; that of `found` is drawn."""
    monkeypatch.setattr("evacli.figures.style.save", lambda figure, path: path.touch())


@pytest.fixture(scope="module")
def found(settings, tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "new"
    return RunDir(run), lr_find(run, min_lr=1e-5, effort="normal", **settings)


def test_lr_find_writes_what_it_found(found, settings):
    run, result = found
    assert suggestion(run) == msgspec.structs.replace(result, curve=None)
    assert result.curve.losses == pd.read_csv(run.lr_find_csv).loss.tolist()
    assert (result.rule, result.effort) == ("short trainings", "normal")
    assert result.lr == result.suggestions["short trainings"]
    assert 1e-5 < result.low <= result.lr <= result.high < 10
    assert 3 <= len(result.short_trainings) <= 6
    best = min(one.loss for one in result.short_trainings if one.loss is not None)
    assert best == min(one.loss for one in result.short_trainings if one.loss and result.low <= one.lr <= result.high)
    assert f"{len(result.short_trainings)} short trainings" in result.certainty
    table = pd.read_csv(run.lr_find_csv)
    assert len(table) == result.steps_taken
    assert table.lr.iloc[0] == 1e-5
    with Image.open(run.lr_find_png) as picture:
        assert picture.format == "PNG"
    assert config_file.read(run) == config.make(settings)
    assert result.config.cutout == 4
    assert result.config.batch_size == settings["batch_size"]


def test_unless_told_otherwise_the_effort_is_the_one_that_is_good_enough(monkeypatch, tmp_path, settings):
    planned = []

    def measured(learner, plan, swept):
        planned.append(plan)
        return range_test.sweep(learner, swept.learning_rates()), []

    monkeypatch.setattr(range_test, "measure", measured)
    result = lr_find(tmp_path, min_lr=1e-5, **settings)
    assert result.effort == "thorough"
    (plan,) = planned
    assert (plan.steps + plan.most * plan.updates, plan.updates) == (1000, 100)


def test_a_batch_that_will_grow_does_not_grow_in_a_sweep(tmp_path, settings):
    fixed = settings | {"schedule": "step", "drop_factor": 4.0, "epochs": 2, "steps": 40}  # four epochs' worth
    losses = []
    for name, more in ("plain", {}), ("growing", {"grow_batch": 32}):
        with suppress(NoSuggestion):
            lr_find(tmp_path / name, **fixed | more)
        losses.append(pd.read_csv(tmp_path / name / "lr_find.csv").loss.tolist())
    assert losses[0] == losses[1]
    assert config_file.read(RunDir(tmp_path / "growing")).grow_batch == 32  # for the training


@pytest.mark.long
def test_what_only_a_checkpoint_knows_is_swept(tmp_path, settings, monkeypatch):
    made = config.make(settings | {"optimizer": "adam"})
    run = RunDir(tmp_path)
    monkeypatch.setattr(checkpoint, "load_progress", lambda run: SimpleNamespace(config=made))
    lr_find(run.path, min_lr=1e-5, effort="quick")
    assert suggestion(run).config.optimizer == "adam"
    assert config_file.read(run) == made


@pytest.mark.parametrize("asked", [{"steps": 30}, {"effort": "normal"}])
def test_where_nothing_is_learnt_there_is_no_number_but_the_curve(tmp_path, settings, asked):
    run = RunDir(tmp_path / "flat")
    with pytest.raises(NoSuggestion, match="Nothing is learnt at learning rates from 1e-12 to 1e-10") as refusal:
        lr_find(run.path, min_lr=1e-12, max_lr=1e-10, **asked, **settings)
    assert str(run.lr_find_png) in refusal.value.fix
    assert run.lr_find_png.exists()
    assert len(pd.read_csv(run.lr_find_csv)) == asked.get("steps", 100)
    written = json.loads(run.lr_find_json.read_text())
    assert written["lr"] is None
    assert set(written["suggestions"].values()) == {None}
    assert suggestion(run) is None


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"min_lr": 1.0, "max_lr": 0.1}, "--min-lr 1 is not below --max-lr 0.1"),
        ({"min_lr": 0.0}, "--min-lr 0.0: must be more than 0."),
        ({"min_lr": math.nan}, "--min-lr nan"),
        ({"max_lr": math.inf}, "--max-lr inf"),
        ({"max_lr": -1.0}, "--max-lr -1.0"),
        ({"steps": 24}, "--steps 24: must be at least 25."),
        ({"steps": "many"}, "--steps"),
        ({"mode": "log"}, "--mode"),
        ({"effort": "much"}, "--effort"),
        ({"effort": "quick", "steps": 30}, "--effort and --steps both say how much is tried. Leave one of them out."),
        ({"batch_size": 0}, "--batch-size 0"),
        ({"model": "nope"}, "nope"),
        ({"data": "/nowhere"}, "/nowhere"),
    ],
)
def test_what_cannot_be_used_is_refused_before_anything_is_written(tmp_path, settings, wrong, message):
    result = CliRunner().invoke(app, ["lr-find", "--run", str(tmp_path / "new"), *options(settings | wrong)])
    assert result.exit_code != 0
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "new").exists()


def test_a_trained_run_is_not_swept_with_other_settings(tmp_path, settings):
    run = RunDir(tmp_path)
    config_file.write(run, config.make(settings))
    run.checkpoint.touch()
    with pytest.raises(Contradiction, match="--momentum"):
        lr_find(run.path, momentum=0.5)


def test_a_trained_run_keeps_its_settings(found, tmp_path):
    run = RunDir(shutil.copytree(found[0].path, tmp_path / "run"))
    run.checkpoint.touch()
    before = run.config.read_bytes()
    lr_find(run.path, min_lr=1e-5, effort="quick", epochs=7)
    assert run.config.read_bytes() == before


def test_a_run_in_training_is_left_alone(found, tmp_path):
    run = RunDir(shutil.copytree(found[0].path, tmp_path / "run"))
    with exclusive(run), pytest.raises(RunBusy):
        lr_find(run.path, optimizer="adam")


def test_the_command_prints_the_suggestions_side_by_side(found, monkeypatch):
    run, result = found
    monkeypatch.setattr(range_test, "lr_find", lambda *_, **__: result)
    alone = CliRunner().invoke(app, ["lr-find", "--run", str(run.path), "--min-lr", "1e-5"])
    assert "short trainings" in alone.stdout
    assert result.certainty in " ".join(alone.stdout.split())
    assert "valley" not in alone.stdout
    printed = CliRunner().invoke(app, ["lr-find", "--run", str(run.path), "--min-lr", "1e-5", "--all-rules"])
    assert printed.exit_code == 0
    for rule in RULES:
        assert rule in printed.stdout
    taken = next(line for line in printed.stdout.splitlines() if "evacli train takes this" in line)
    assert "short trainings" in taken
    assert f"{result.lr:.3g}" in taken
    assert "lr_find.png" in printed.stdout


def test_what_was_decided_for_one_network_does_not_bind_another(tmp_path, settings):
    run = RunDir(tmp_path)
    with suppress(NoSuggestion):
        lr_find(run.path, steps=25, **settings | {"model": "eva"})
    assert json.loads(run.lr_find_json.read_text())["config"]["dropout"] == "none"
    inherited = config_file.inherit(run, {"model": settings["model"]})
    assert assemble(inherited, load(inherited)).config.dropout == "own"


def test_the_next_command_inherits_the_settings_and_prints_nothing_but_json(found):
    run, result = found
    printed = CliRunner().invoke(
        app, ["lr-find", "--run", str(run.path), "--min-lr", "1e-5", "--effort", "normal", "--json"]
    )
    assert msgspec.json.decode(printed.stdout, type=type(result)) == result
    assert not printed.stderr


def test_an_explicit_rate_is_not_said_to_be_replaced(tmp_path, settings):
    printed = CliRunner().invoke(
        app, ["lr-find", "--run", str(tmp_path), "--lr", "0.3", "--effort", "quick", *options(settings)]
    )
    assert printed.exit_code == 0
    assert "takes this" not in printed.stdout
    assert "--lr 0.3" in printed.stderr
    assert Path(tmp_path / "lr_find.json").exists()
