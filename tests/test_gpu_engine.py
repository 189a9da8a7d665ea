"""The engine for a card, which computes on the CPU here: what it does there is the same but for rounding and speed."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
from engine_room import dealt, twin
from run_state import state
from stops import stop_in_step
from tiny_data import TINY
from tiny_run import make_data

from evacli import config, devices, engine
from evacli.backend import tf
from evacli.devices import Card
from evacli.engine import gpu, precision
from evacli.engine.augment import uniform
from evacli.engine.base import Figures
from evacli.engine.gpu import GpuEngine
from evacli.errors import Interrupted, MemoryShort
from evacli.run import checkpoint, history
from evacli.run.checkpoint import Progress
from evacli.run.directory import RunDir
from evacli.training import train as training
from evacli.training.learner import Learner, assemble
from evacli.training.state import TrainingState

CARD = Card("a card", "/CPU:0", "none")
PLAIN = {"model": TINY, "batch_size": 8, "precision": "float32", "lr": 0.1, "cutout": 3, "crop": 1, "flip": True}
EPOCHS = 2


class Asked:
    """A hook that remembers what it was told."""

    def __init__(self, every: int = 1000) -> None:
        self.every, self.losses, self.calls = every, [], []

    def after(self, figures: Figures) -> None:
        self.losses += figures.losses
        self.calls.append((len(figures.losses), figures.lr))


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices._Process, "card", CARD)


@pytest.fixture
def deterministic(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without XLA, which takes its time on a CPU."""
    monkeypatch.setattr(devices._Process, "deterministic", True)


def learner(**settings: Any) -> Learner:
    return assemble(config.make(PLAIN | settings), make_data(num_train=52))


def on_card(**settings: Any) -> Learner:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(devices._Process, "card", CARD)
        return learner(**settings)


def trained(learned: Learner, hook: Asked) -> list[Any]:
    """Two epochs; their figures, the weights, and what the network then says."""
    figures = [learned.engine.run(dealt(learned, epoch), [hook]) for epoch in range(EPOCHS)]
    learned.engine.sync(learned.network)
    said = learned.engine.predictor(learned.network)(learned.data.test.images.read(np.arange(30)))
    return [np.array(figures), *learned.network.get_weights(), said]


def bits(learned: Learner) -> dict[str, list[bytes]]:
    return {group: [array.tobytes() for array in arrays] for group, arrays in learned.engine.state().items()}


@pytest.fixture(scope="module")
def compiled() -> tuple[Learner, Asked, list[Any], Any]:
    """Steps that XLA has compiled, in blocks; what they came to, and the state before them."""
    learned = on_card(label_smoothing=0.1)
    before = learned.engine.state() | {"metrics": []}
    asked = Asked()
    return learned, asked, trained(learned, asked), before


def agree(found: tuple[Asked, list[Any]], expected: tuple[Asked, list[Any]]) -> None:
    assert found[0].losses == pytest.approx(expected[0].losses, abs=1e-6)
    for one, other in zip(found[1], expected[1], strict=True):
        assert one == pytest.approx(other, abs=2e-6)


def test_compiled_steps_are_those_of_the_cpu_engine(compiled: Any) -> None:
    _, ours, found, _ = compiled
    theirs = Asked()
    expected = trained(learner(label_smoothing=0.1), theirs)
    agree((ours, found), (theirs, expected))
    # The first three tell how long a step takes, the smaller last batch is by itself.
    assert [count for count, _ in ours.calls] == [1, 1, 1, 3, 1, 6, 1]


def test_many_steps_in_a_call_are_bit_by_bit_those_of_one_by_one(compiled: Any) -> None:
    learned, block, _, before = compiled
    many = bits(learned)
    learned.engine.restore(before)
    trained(learned, step := Asked(every=1))
    assert [count for count, _ in step.calls] == [1] * 14
    assert block.losses == step.losses
    assert bits(learned) == many


OTHERS = {
    "what XLA does not know": {
        "mixup": 0.4,
        "class_weights": "balanced",
        "rand_augment": 9,
        "jitter": 0.2,
        "scale": "0.4-1",
        "optimizer": "lion",
        "lr": 0.001,
    },
    "updates of all images": {"batch_size": "full", "optimizer": "adamw", "gradient_noise": 0.01, "lr": 0.001},
}


@pytest.mark.long
@pytest.mark.parametrize("settings", OTHERS.values(), ids=OTHERS)
def test_steps_are_those_of_the_cpu_engine(
    settings: dict[str, Any], deterministic: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evacli.training.batching.PART", 16)
    ours, theirs = Asked(), Asked()
    agree((ours, trained(on_card(**settings), ours)), (theirs, trained(learner(**settings), theirs)))


@pytest.mark.long
def test_images_that_do_not_lie_on_the_card_come_in_blocks(
    compiled: Any, deterministic: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "SMALL_DATA", 0)
    learned, there = on_card(label_smoothing=0.1), Asked()
    assert learned.engine._resident is None
    agree((there, trained(learned, there)), compiled[1:3])
    assert max(count for count, _ in there.calls) > 1


@pytest.mark.parametrize("make", [learner, pytest.param(on_card, marks=pytest.mark.long)])
def test_float16_leaves_out_steps_that_overflow(make: Any) -> None:
    learned = make(precision="float16")
    computes, optimizer = learned.engine, twin(learned).optimizer
    short, exact = Asked(), Asked()
    computes.run(dealt(learned, lr=0.01), [short])
    plain = learner()
    plain.engine.run(dealt(plain, lr=0.01), [exact])
    assert short.losses == pytest.approx(exact.losses, abs=0.01)
    assert short.losses != exact.losses
    already = computes.skipped()  # its first scale is too much for this network
    before = [np.array(v) for v in twin(learned).trainable_variables]
    optimizer.loss_scale.assign(2.0**60)
    computes.run(dealt(learned, 1, steps=1), [])
    assert all((np.asarray(v) == old).all() for v, old in zip(twin(learned).trainable_variables, before, strict=True))
    assert computes.skipped() == already + 1
    assert float(optimizer.loss_scale) == 2.0**59
    kept = computes.state()
    optimizer.loss_scale.assign(1.0)
    computes.restore(kept)
    assert float(optimizer.loss_scale) == 2.0**59
    assert computes.skipped() == already + 1


def test_the_scale_of_the_loss_doubles_after_many_sound_steps() -> None:
    learned = learner(precision="float16")
    optimizer = twin(learned).optimizer
    optimizer.steps_at_scale.assign(optimizer.GROWTH - 1)
    learned.engine.run(dealt(learned, steps=2), [])
    assert float(optimizer.loss_scale) == 2 * optimizer.FIRST
    assert float(optimizer.steps_at_scale) == 1


def test_a_part_of_an_update_that_overflows_counts_as_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evacli.training.batching.PART", 26)
    learned = learner(precision="float16", batch_size="full", optimizer="sgd", weight_decay=0.0)
    optimizer, kernel = twin(learned).optimizer, twin(learned).trainable_variables[0]
    before = np.array(kernel)
    optimizer.loss_scale.assign(2.0**60)
    learned.engine.run(dealt(learned, steps=1), [])
    assert (np.array(kernel) == before).all()
    optimizer.loss_scale.assign(2.0**10)
    learned.engine.run(dealt(learned, first=1), [])
    assert learned.engine.skipped() == 1
    assert 0 < np.abs(np.array(kernel) - before).max() < 1


def test_unsound_networks_are_told(compiled: Any) -> None:
    learned, *_, before = compiled
    learned.engine.restore(before)
    assert learned.engine.is_sound()
    twin(learned).trainable_variables[0].assign(np.full(twin(learned).trainable_variables[0].shape, np.nan))
    assert not learned.engine.is_sound()


def test_random_numbers_are_tensorflows_own_in_xla_too() -> None:
    compiled = tf.function(lambda seed: uniform((5, 13), seed), jit_compile=True, autograph=False)
    for seed in ([0, 0], [7, 123_456], [2**31 - 1, 3]):
        expected = tf.random.stateless_uniform((5, 13), seed)
        assert (uniform((5, 13), tf.constant(seed)) == expected).numpy().all()
        assert (compiled(tf.constant(seed)) == expected).numpy().all()


@pytest.mark.parametrize(
    ("seconds", "answer"),
    [
        ((1.0, 0.95, 0.95), "float32"),
        ((1.0, 0.5, 0.48), "bfloat16"),
        ((1.0, float("inf"), 0.5), "float16"),
        ((1.0, 0.8, 0.4), "float16"),
    ],
)
def test_the_shortest_precision_that_pays_is_chosen(seconds: Any, answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "_tried", lambda name: name)
    monkeypatch.setattr(precision, "times", lambda steps: list(seconds))
    assert precision.choose_on_card("auto") == answer
    assert precision.choose_on_card("float16") == "float16"


# -- whole trainings ---------------------------------------------------------------------------------------------------


def train(path: Path, digits: Path, **extra: Any) -> Any:
    settings = PLAIN | {"batch_size": 32, "lr": 0.05, "data": str(digits), "epochs": 3, "optimizer": "sgdw"}
    return training.train(path, **(settings | extra))


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory, digits: Path) -> dict[str, Any]:
    """A training that nobody stops; and one that meets a full memory in its second epoch, then Ctrl-C, and goes on."""
    folder = tmp_path_factory.mktemp("runs")
    fit, fits = gpu.BlockTwin.fit, []

    def full(self: Any, *args: Any, **extra: Any) -> Any:
        fits.append(1)
        if len(fits) > 3:  # in the second epoch
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor\non GPU:0")
        return fit(self, *args, **extra)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(devices._Process, "card", CARD)
        patch.setattr(devices._Process, "deterministic", True)
        train(folder / "whole", digits)
        patch.setattr(gpu.BlockTwin, "fit", full)
        with pytest.raises(MemoryShort) as short:
            train(folder / "parts", digits)
        rows = len(checkpoint.load_progress(RunDir(folder / "parts")).rows)
        patch.setattr(gpu.BlockTwin, "fit", fit)
        with pytest.raises(Interrupted):
            train(folder / "parts", digits, stop_when=stop_in_step(4))
        batch = checkpoint.load_progress(RunDir(folder / "parts")).batch
        train(folder / "parts", digits)
    return {"folder": folder, "short": short.value, "rows": rows, "batch": batch}


def test_a_card_without_room_is_one_line_and_nothing_is_lost(interrupted: dict[str, Any]) -> None:
    short = interrupted["short"]
    assert short.message == "a card has not enough memory to train in batches of 32; the last checkpoint is kept."
    assert "--batch-size 16" in short.fix
    assert interrupted["rows"] == 1


def test_what_is_stopped_in_an_epoch_goes_on_to_the_same_bits(interrupted: dict[str, Any]) -> None:
    folder = interrupted["folder"]
    assert interrupted["batch"] == 4
    assert state(folder / "parts") == state(folder / "whole")
    # Files that were not written after each epoch, which takes longer than that here, are written in the end.
    whole = RunDir(folder / "whole")
    assert len(history.read_csv(whole.history)) == 3
    saved = keras.models.load_model(whole.best_model).get_weights()
    assert all((a == b).all() for a, b in zip(saved, checkpoint.load(whole)[1]["best"], strict=True))


def test_files_take_a_small_share_of_a_training_on_a_card(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("evacli.training.state.time.monotonic", lambda: clock[0])
    computes = SimpleNamespace(device="a card")
    progress = Progress(
        config=config.make(PLAIN), lr=0.1, lr_source="", class_names=(), data_fingerprint="", versions={}
    )
    training_state = TrainingState(None, SimpleNamespace(engine=computes, config=progress.config), progress)
    monkeypatch.setattr(training_state, "save", lambda: clock.__setitem__(0, clock[0] + 2))
    assert training_state.due
    training_state.write()
    assert not training_state.due
    clock[0] += 37
    assert not training_state.due
    clock[0] += 1
    assert training_state.due
    computes.device = "CPU"
    clock[0] -= 30
    assert training_state.due


def test_a_run_goes_on_on_another_device_which_is_said(
    interrupted: dict[str, Any], digits: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = interrupted["folder"] / "parts"
    assert checkpoint.load_progress(RunDir(run)).versions["device"] == "a card, deterministic"
    assert train(run, digits, epochs=4).epochs_done == 4
    assert "device a card, deterministic -> CPU" in capsys.readouterr().err


def test_a_card_gets_its_engine(card: None) -> None:
    assert isinstance(engine.create(), GpuEngine)


# -- on a card: make test-gpu ------------------------------------------------------------------------------------------


@pytest.mark.gpu
@pytest.mark.skipif(not devices.card(), reason="there is no card that TensorFlow can use")
@pytest.mark.parametrize("asked", ["float32", "bfloat16", "float16"])
def test_a_real_card_computes_what_the_processor_does(asked: str) -> None:
    found = trained(learner(precision=asked), Asked())
    with tf.device("/CPU:0"), pytest.MonkeyPatch.context() as patch:
        patch.setattr(devices._Process, "card", None)
        expected = trained(learner(), Asked())
    for one, other in zip(found, expected, strict=True):
        assert one == pytest.approx(other, abs=1e-4 if asked == "float32" else 0.1)
