"""One training on several logical devices of the CPU, in one process of its own: they are made as TensorFlow starts."""

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

# Trains on one device and on others from equal beginnings; prints by how much they differ.
CASES: dict[str, dict[str, Any]] = {
    "everything": {"label_smoothing": 0.1, "gradient_noise": 0.01, "input_noise": 0.1, "class_weights": "balanced"},
    "momentum": {"optimizer": "sgdw", "mixup": 0.4, "spatial_dropout": True, "dropout": 0.3},
}
MORE: dict[str, dict[str, Any]] = {
    "full": {"batch_size": "full", "optimizer": "adamw", "lr": 0.001},
    "muon": {"optimizer": "muon", "lr": 0.001},
    "lion": {"optimizer": "lion", "lr": 0.0003},
}
SCRIPT = """
import json, sys
import numpy as np
from evacli import config, devices
devices.want("cpu", number=3)
from engine_room import dealt
from tiny_data import TINY
from tiny_run import make_data
from evacli.errors import ConfigError
from evacli.training.learner import assemble

PLAIN = {"model": TINY, "batch_size": 16, "precision": "float32", "lr": 0.05, "cutout": 3, "crop": 1, "flip": True}

class Asked:
    every = 1000
    def __init__(self): self.losses = []
    def after(self, figures): self.losses += figures.losses

def learner(devices_, images, **settings):
    devices.want(number=devices_)
    return assemble(config.make(PLAIN | settings), make_data(num_train=images))

def trained(devices_, epochs, settings):
    learned, asked = learner(devices_, 81, **settings), Asked()
    # The last batch has one image, which leaves the second of two devices, or two of three, without one.
    means = [learned.engine.run(dealt(learned, epoch, lr=settings.get("lr", 0.05)), [asked]) for epoch in range(epochs)]
    learned.engine.sync(learned.network)
    return type(learned.engine).__name__, asked.losses, means, learned.engine.state(), learned.network.get_weights()

def furthest(ours, theirs):
    return max(float(np.abs(one.astype(float) - other).max()) for one, other in zip(ours, theirs, strict=True))

def one_step(devices_, settings):
    # The gradients, as plain SGD at a rate of 1 takes them off the weights, and BatchNorm's statistics.
    learned = learner(devices_, 13, **settings | {"optimizer": "sgd"})
    network = learned.network
    before = [np.array(w) for w in network.trainable_variables]
    learned.engine.run(dealt(learned, 0, lr=1.0), [Asked()])
    learned.engine.sync(network)
    gradients = [b.astype(float) - np.array(w) for b, w in zip(before, network.trainable_variables, strict=True)]
    moved = [10 * np.array(w) for w in network.non_trainable_variables if "moving" in w.path]  # momentum is 0.9
    return gradients, moved

found = {}
for name, settings in json.loads(sys.argv[1]).items():
    _, losses, means, state, weights = trained(1, 4, settings)
    gradients, statistics = one_step(1, settings)
    for number in (2, 3):
        engine, *others, there, network = trained(number, 4, settings)
        step = one_step(number, settings)
        found[f"{name} {number}"] = {
            "largest gradient": max(float(np.abs(g).max()) for g in gradients),
            "gradients": furthest(gradients, step[0]),
            "statistics": furthest(statistics, step[1]),
            "engine": engine,
            "losses": furthest([np.array(losses)], [np.array(others[0])]),
            "means": furthest([np.array(means)], [np.array(others[1])]),
            "moved": furthest(weights, learner(1, 81, **settings).network.get_weights()),
            "weights": furthest(weights, network),
            **{group: furthest(state[group], there[group]) for group in state},
        }
refused = {}
for name, settings in {"batch": {"batch_size": 2}, "layer": {"model": TINY.replace(":tiny", ":shuffled")}}.items():
    try:
        learner(3, 81, **settings)
    except ConfigError as e:
        refused[name] = str(e)
print(json.dumps({"found": found, "refused": refused}))
"""


def measure(cases: dict[str, dict[str, Any]]) -> dict[str, Any]:
    command = [sys.executable, "-c", SCRIPT, json.dumps(cases)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parent)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


@pytest.fixture(scope="module")
def measured() -> dict[str, Any]:
    return measure(CASES)


@pytest.mark.tensorflow
@pytest.mark.slow
@pytest.mark.parametrize("number", [2, 3])
@pytest.mark.parametrize("case", CASES)
def test_several_devices_learn_what_one_does(case: str, number: int, measured: dict[str, Any]) -> None:
    agree(case, measured["found"][f"{case} {number}"])


@pytest.mark.tensorflow
@pytest.mark.long
def test_other_optimizers_learn_nearly_what_one_device_does() -> None:
    for case, found in measure(MORE)["found"].items():
        agree(case.split()[0], found)


def agree(case: str, found: dict[str, Any]) -> None:
    assert found["engine"] == "ReplicaEngine"
    # A sign amplifies the rounding of a gradient near zero.
    near = {"lion": 1e-3, "muon": 1e-4}.get(case, 1e-5)
    assert found["largest gradient"] > 0.01
    assert found["gradients"] < 1e-5  # each of them, of one batch of 13 images, whatever the optimizer makes of them
    assert found["statistics"] < 1e-5
    assert found["moved"] > 100 * near
    assert found["losses"] < near
    assert found["means"] < near
    assert found["weights"] < near
    assert found["network"] < near
    assert found["optimizer"] < near
    assert found["metrics"] < 1e-2  # sums over an epoch


@pytest.mark.tensorflow
@pytest.mark.slow
def test_what_cannot_be_divided_is_refused_by_name(measured: dict[str, Any]) -> None:
    assert "A batch of 2 images cannot be divided among 3 devices" in measured["refused"]["batch"]
    assert "The layer zoom (RandomZoom) draws random numbers" in measured["refused"]["layer"]


@pytest.mark.tensorflow
@pytest.mark.slow
def test_a_run_goes_on_with_another_number_of_devices_and_says_so(evacli: Any, digits: Path, tmp_path: Path) -> None:
    from tiny_data import TINY

    settings = ("--data", digits, "--model", TINY, "--batch-size", 32, "--precision", "float32", "--run", tmp_path)
    ended = evacli("train", *settings, "--epochs", 1, "--devices", 2)
    assert ended.code == 0, ended.err
    assert "It computes on 2 x CPU." in ended.err
    assert json.loads((tmp_path / "summary.json").read_text())["versions"]["device"] == "2 x CPU"
    assert "devices" not in (tmp_path / "config.json").read_text()
    ended = evacli("train", "--run", tmp_path, "--epochs", 2)
    assert ended.code == 0, ended.err
    assert "device 2 x CPU -> CPU" in " ".join(ended.err.split())


@pytest.mark.tensorflow
@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "rates"),
    [
        # So slow that no epoch brings a new low once BatchNorm knows its images: the rate is cut.
        (("--schedule", "plateau", "--lr", 1e-9, "--epochs", 14), {1e-9, 5e-10}),
        (("--schedule", "step", "--grow-batch", 100, "--lr", 0.05, "--epochs", 4), {0.05, 0.015625, 0.0015625}),
    ],
)
def test_schedules_decide_alike(
    settings: tuple[Any, ...], rates: set[float], evacli: Any, digits: Path, tmp_path: Path
) -> None:
    from tiny_data import TINY

    rows = []
    for number in (1, 2):
        run = tmp_path / str(number)
        common = ("--data", digits, "--model", TINY, "--batch-size", 32, "--precision", "float32", "--devices", number)
        ended = evacli("train", *common, *settings, "--run", run)
        assert ended.code == 0, ended.err
        rows.append(pd.read_csv(run / "history.csv").drop(columns="seconds"))
    assert rows[0]["lr"].tolist() == rows[1]["lr"].tolist()
    assert sorted(rows[0]["lr"].unique()) == pytest.approx(sorted(rates), rel=1e-6, abs=0)
    assert np.allclose(rows[0], rows[1], atol=1e-5)


@pytest.mark.parametrize(("number", "said"), [("x", "neither a number nor all"), ("0", "no such number")])
def test_no_such_number(number: str, said: str, evacli: Any, tmp_path: Path) -> None:
    ended = evacli("train", "--devices", number, "--run", tmp_path / "run")
    assert ended.code == 2
    assert said in " ".join(ended.err.split())
    assert not (tmp_path / "run").exists()


@pytest.mark.tensorflow
@pytest.mark.slow
def test_statistics_where_the_mean_is_large() -> None:
    """Mean^2 / variance of 25,000: the mean square less the squared mean would be off by a tenth."""
    from evacli.engine.replicas.layers import SharedBatchNormalization

    images = np.random.default_rng(1).normal(158, 1, (64, 8, 8, 3)).astype(np.float32)
    layer = SharedBatchNormalization(momentum=0.0)
    outputs = np.asarray(layer(images, training=True))
    exact = images.astype(np.float64)
    assert np.asarray(layer.moving_variance) == pytest.approx(exact.var((0, 1, 2)), rel=1e-5)
    assert outputs.std((0, 1, 2)) == pytest.approx(1, abs=1e-3)


@pytest.mark.tensorflow
@pytest.mark.slow
@pytest.mark.parametrize("shape", [(13, 7, 5), (8, 4, 4, 3)])
def test_masks_are_cut_out_of_those_of_the_whole_batch(shape: tuple[int, ...]) -> None:
    import keras

    from evacli.engine.fast.layers import FastDropout
    from evacli.engine.replicas.layers import SHARED, showing

    keras.utils.set_random_seed(3)
    ones = np.ones(shape, np.float32)
    kinds = [(FastDropout, keras.layers.Dropout), *([(keras.layers.SpatialDropout2D,) * 2] if len(shape) == 4 else [])]
    for whole, plain in kinds:
        expected = np.asarray(whole(0.4, seed=5)(ones, training=True))
        assert 0 < (expected == 0).mean() < 1
        cuts = [0, 3, 4, shape[0]]
        parts = []
        for first, end in pairwise(cuts):
            with showing(first, shape[0], 1.0):
                parts.append(np.asarray(SHARED[plain](0.4, seed=5)(ones[first:end], training=True)))
        assert np.array_equal(np.concatenate(parts), expected)
