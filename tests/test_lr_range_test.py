import json
import math
import shutil
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import keras
import msgspec
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from PIL import Image
from tiny_run import make_data
from typer.testing import CliRunner

from evacli import config
from evacli.cli import app
from evacli.data import load
from evacli.errors import ConfigError, Contradiction, NoSuggestion, RunBusy
from evacli.lr_finder.range_test import conclude, lr_find, sweep
from evacli.lr_finder.suggest import CHOSEN_RULE, RULES
from evacli.run import checkpoint, config_file
from evacli.run.directory import RunDir
from evacli.run.locking import exclusive
from evacli.run.lr_result import Curve, Range, suggestion
from evacli.training.batching import Batching
from evacli.training.learner import assemble

RATES = Range(min_lr=1e-4, max_lr=1.0, steps=30, mode="exp").learning_rates()
TRACES = []


@keras.saving.register_keras_serializable("tests")
class Traced(keras.layers.Layer):
    """Notes every time that Python runs through it."""

    def call(self, inputs):
        TRACES.append(1)
        return inputs


def make_learner(num_images=52, batch_size=8, optimizer="momentum", dropout=0.3, images=None):
    """A stand-in for evacli's learner: six full batches and a small one, the order depending on the epoch."""
    keras.utils.set_random_seed(1)
    layers = [keras.Input((4,)), Traced(), keras.layers.Dense(8, activation="tanh"), keras.layers.BatchNormalization()]
    if dropout:
        layers.append(keras.layers.Dropout(dropout))
    twin = keras.Sequential([*layers, keras.layers.Dense(3)])
    chosen = {"momentum": keras.optimizers.SGD(0.05, momentum=0.9), "adam": keras.optimizers.Adam(0.05)}
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    twin.compile(chosen.get(optimizer, optimizer), loss, metrics=["accuracy"], jit_compile=False)
    random = np.random.default_rng(0)
    if images is None:
        images = random.normal(size=(num_images, 4)).astype(np.float32)
    labels = random.integers(0, 3, len(images))

    def batches(epoch):
        order = np.random.default_rng(epoch).permutation(len(images))
        return tf.data.Dataset.from_tensor_slices((images[order], labels[order])).batch(batch_size)

    batching = Batching(config.make({"batch_size": batch_size}), len(images))
    return SimpleNamespace(twin=twin, batches=batches, batching=batching, data=SimpleNamespace(train=images))


def state(model):
    """Every bit that training could change."""
    variables = [*model.variables, *model.optimizer.variables, model.optimizer.learning_rate]
    return [np.array(v).tobytes() for v in variables]


def train_a_little(learner):
    for images, labels in learner.batches(7).take(3):
        learner.twin.train_on_batch(images, labels)
    learner.twin.reset_metrics()


# -- what a sweep measures ---------------------------------------------------------------------------------------------


def test_losses_are_those_of_each_batch_under_sgd_with_momentum():
    learner = make_learner(dropout=0)
    twin, expected = learner.twin, []
    start = twin.get_weights()
    velocity = [np.zeros(v.shape, np.float32) for v in twin.trainable_variables]
    batches = [batch for epoch in range(10) for batch in learner.batches(epoch).take(6)]
    for rate, (images, labels) in zip(RATES, batches, strict=False):
        with tf.GradientTape() as tape:
            logits = tf.nn.log_softmax(twin(images, training=True))
            loss = -tf.reduce_mean(tf.gather(logits, labels, axis=1, batch_dims=1))
        expected.append(float(loss))
        for i, (v, g) in enumerate(
            zip(twin.trainable_variables, tape.gradient(loss, twin.trainable_variables), strict=True)
        ):
            velocity[i] = 0.9 * velocity[i] - rate * g.numpy()
            v.assign_add(velocity[i])
    twin.set_weights(start)

    curve = sweep(learner, RATES)

    np.testing.assert_allclose(curve.losses, expected, rtol=1e-4)
    assert curve.learning_rates == RATES


def test_each_step_runs_at_its_own_rate(monkeypatch):
    learner, used = make_learner(), []
    step = learner.twin.train_on_batch

    def spy(*args, **kwargs):
        used.append(float(learner.twin.optimizer.learning_rate))
        return step(*args, **kwargs)

    monkeypatch.setattr(learner.twin, "train_on_batch", spy)
    sweep(learner, RATES)
    np.testing.assert_allclose(used, RATES, rtol=1e-6)


def test_full_batches_of_one_epoch_after_the_other(monkeypatch):
    learner, epochs, sizes = make_learner(), [], []
    batches, step = learner.batches, learner.twin.train_on_batch
    learner.batches = lambda epoch: epochs.append(epoch) or batches(epoch)
    monkeypatch.setattr(learner.twin, "train_on_batch", lambda x, y, **kw: sizes.append(len(x)) or step(x, y, **kw))
    sweep(learner, RATES)
    assert sizes == [8] * 30
    assert epochs == [0, 1, 2, 3, 4]


def test_where_all_images_make_one_update_each_rate_gets_them_all():
    made = {"model": f"{Path(__file__).with_name('tiny_networks.py')}:linear", "optimizer": "sgd", "batch_size": "full"}
    plain = {"cutout": 0, "crop": 0, "flip": False, "precision": "float32", "lr": 0.1}
    rates = [1e-3 * 1.2**i for i in range(5)]
    parts, whole = (
        sweep(assemble(config.make(made | plain | {"batch_size": size}), make_data(num_train=300)), rates)
        for size in ("full", 300)
    )
    assert len(parts.losses) == 5
    np.testing.assert_allclose(parts.losses, whole.losses, rtol=1e-4)


def test_fewer_images_than_a_batch_are_enough():
    assert len(sweep(make_learner(num_images=5), RATES).losses) == 30


def test_a_sweep_costs_its_steps_and_no_more(monkeypatch):
    learner = make_learner()
    for other in ("evaluate", "predict", "fit", "test_on_batch", "predict_on_batch"):
        monkeypatch.setattr(learner.twin, other, lambda *a, **k: pytest.fail("more than training steps"))
    sweep(learner, RATES[:25])
    TRACES.clear()
    sweep(learner, RATES)
    assert not TRACES  # nothing is traced anew


# -- when it stops -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_it(bad):
    images = np.ones((400, 4), np.float32)
    learner = make_learner(dropout=0, images=images)
    images[np.random.default_rng(0).permutation(400)[5 * 8]] = bad  # in the sixth batch of the first epoch
    curve = sweep(learner, RATES)
    assert len(curve.losses) == 6
    assert not math.isfinite(curve.losses[-1])
    assert np.isfinite(curve.losses[:-1]).all()


def test_an_exploding_loss_stops_it():
    steep = Range(min_lr=1e-3, max_lr=1e6, steps=200, mode="exp").learning_rates()
    curve = sweep(make_learner(), steep)
    assert 25 < len(curve.losses) < 200
    assert len(curve.learning_rates) == len(curve.losses)


# -- what it leaves behind ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
def test_a_sweep_leaves_no_trace(optimizer):
    learner = make_learner(optimizer=optimizer)
    train_a_little(learner)
    before, metrics = state(learner.twin), learner.twin.get_metrics_result()
    sweep(learner, RATES)
    assert state(learner.twin) == before
    assert learner.twin.get_metrics_result() == metrics


def test_training_goes_on_as_if_there_had_been_no_sweep():
    swept, other = make_learner(), make_learner()
    sweep(swept, RATES)
    train_a_little(swept)
    train_a_little(other)
    assert state(swept.twin) == state(other.twin)


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_a_sweep_that_fails_leaves_no_trace(monkeypatch, failure):
    learner, steps = make_learner(), []
    train_a_little(learner)
    before, step = state(learner.twin), learner.twin.train_on_batch

    def failing(*args, **kwargs):
        steps.append(1)
        if len(steps) == 8:
            raise failure
        return step(*args, **kwargs)

    monkeypatch.setattr(learner.twin, "train_on_batch", failing)
    with pytest.raises(failure):
        sweep(learner, RATES)
    assert state(learner.twin) == before


def test_sweeping_twice_gives_the_same():
    learner = make_learner()
    assert sweep(learner, RATES) == sweep(learner, RATES)


def test_an_optimizer_with_a_schedule_is_refused():
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 100, 0.9)
    with pytest.raises(ConfigError, match="learning-rate schedule"):
        sweep(make_learner(optimizer=keras.optimizers.SGD(schedule)), RATES)


@pytest.mark.parametrize(
    ("settings", "lower"),
    [
        ({"optimizer": "sgd"}, 1),
        ({"optimizer": "momentum"}, 1),
        ({"optimizer": "adam"}, 10**0.5),
        ({"optimizer": "adam", "beta_1": 0.5}, 2**0.5),
        ({"optimizer": "rmsprop"}, 1),
    ],
)
def test_the_same_curve_means_a_lower_rate_for_the_adam_family(settings, lower):
    swept = Range(min_lr=1e-6, max_lr=1.0, steps=60, mode="exp")
    rates = swept.learning_rates()
    curve = Curve(learning_rates=rates, losses=[2 / (1 + (rate / 1e-3) ** 2) for rate in rates])
    plain = conclude(curve, swept, config.make({"optimizer": "sgd"}))
    assert conclude(curve, swept, config.make(settings)).lr == pytest.approx(plain.lr / lower)


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


@pytest.fixture(scope="module")
def found(settings, tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "new"
    return RunDir(run), lr_find(run, min_lr=1e-5, **settings)


def test_lr_find_writes_what_it_found(found, settings):
    run, result = found
    assert suggestion(run) == result
    assert result.rule == CHOSEN_RULE
    assert result.lr == result.suggestions[CHOSEN_RULE]
    assert 1e-5 < result.lr < 10
    table = pd.read_csv(run.lr_find_csv)
    assert len(table) == result.steps_taken
    assert table.lr.iloc[0] == 1e-5
    with Image.open(run.lr_find_png) as picture:
        assert picture.format == "PNG"
    assert config_file.read(run) == config.make(settings)
    assert result.config.cutout == 4
    assert result.config.batch_size == settings["batch_size"]


def test_a_batch_that_will_grow_does_not_grow_in_a_sweep(tmp_path, settings):
    fixed = settings | {"schedule": "step", "drop_factor": 4.0, "epochs": 2, "steps": 40}  # four epochs' worth
    losses = []
    for name, more in ("plain", {}), ("growing", {"grow_batch": 32}):
        with suppress(NoSuggestion):
            lr_find(tmp_path / name, **fixed | more)
        losses.append(pd.read_csv(tmp_path / name / "lr_find.csv").loss.tolist())
    assert losses[0] == losses[1]
    assert config_file.read(RunDir(tmp_path / "growing")).grow_batch == 32  # for the training


def test_what_only_a_checkpoint_knows_is_swept(tmp_path, settings, monkeypatch):
    made = config.make(settings | {"optimizer": "adam"})
    run = RunDir(tmp_path)
    monkeypatch.setattr(checkpoint, "load_progress", lambda run: SimpleNamespace(config=made))
    lr_find(run.path, min_lr=1e-5)
    assert suggestion(run).config.optimizer == "adam"
    assert config_file.read(run) == made


def test_a_curve_that_never_falls_gives_no_number_but_the_curve(tmp_path, settings):
    run = RunDir(tmp_path / "flat")
    with pytest.raises(NoSuggestion, match="never falls") as refusal:
        lr_find(run.path, min_lr=1e-12, max_lr=1e-10, steps=30, **settings)
    assert str(run.lr_find_png) in refusal.value.fix
    assert run.lr_find_png.exists()
    assert len(pd.read_csv(run.lr_find_csv)) == 30
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
    lr_find(run.path, min_lr=1e-5, epochs=7)
    assert run.config.read_bytes() == before


def test_a_run_in_training_is_left_alone(found, tmp_path):
    run = RunDir(shutil.copytree(found[0].path, tmp_path / "run"))
    with exclusive(run), pytest.raises(RunBusy):
        lr_find(run.path, optimizer="adam")


def test_the_command_prints_the_suggestions_side_by_side(found):
    run, result = found
    printed = CliRunner().invoke(app, ["lr-find", "--run", str(run.path), "--min-lr", "1e-5"])
    assert printed.exit_code == 0
    for rule in RULES:
        assert rule in printed.stdout
    taken = next(line for line in printed.stdout.splitlines() if "evacli train takes this" in line)
    assert CHOSEN_RULE in taken
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
    printed = CliRunner().invoke(app, ["lr-find", "--run", str(run.path), "--min-lr", "1e-5", "--json"])
    assert msgspec.json.decode(printed.stdout, type=type(result)) == result
    assert not printed.stderr


def test_an_explicit_rate_is_not_said_to_be_replaced(tmp_path, settings):
    printed = CliRunner().invoke(app, ["lr-find", "--run", str(tmp_path), "--lr", "0.3", *options(settings)])
    assert printed.exit_code == 0
    assert "takes this" not in printed.stdout
    assert "--lr 0.3" in printed.stderr
    assert Path(tmp_path / "lr_find.json").exists()
