import os
import shutil
import signal
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import msgspec
import numpy as np
import pytest
from run_state import state
from stops import stop_after_epoch, stop_in_step
from tiny_data import TINY

from evacli import console
from evacli.catalogue import schedules
from evacli.catalogue.schedules import Moment
from evacli.config import make
from evacli.data import load
from evacli.data.survey import survey
from evacli.engine import single
from evacli.errors import Contradiction, DataError, Interrupted, ModelError, RunError, Stopped
from evacli.run import checkpoint, config_file
from evacli.run.directory import RunDir
from evacli.training import train as training
from evacli.training.hooks import Reached

STEPS_PER_EPOCH = 7
OFF = {"cutout": 0, "crop": 0, "flip": False}
ON = {"cutout": 4, "crop": 1, "flip": True}
PLATEAU = {"schedule": "plateau", **ON, "val_split": 0.2, "lr": 1e-6, "epochs": 5, "batch_size": 23}
# A training is a function of all settings together; so each case has several that have something to remember.
MATRIX = [
    {"schedule": "cosine", **OFF, "cutout": 4, "crop": 2, "weight_decay": 0.01, "momentum": 0.0, "seed": 5},
    {"schedule": "one-cycle", **ON, "precision": "bfloat16", "label_smoothing": 0.1},
    pytest.param(
        {"schedule": "one-cycle", **ON, "model": "eva", "epochs": 1, "batch_size": 64}, marks=pytest.mark.long
    ),
    pytest.param(
        {"schedule": "step", **ON, "grow_batch": 64, "drop_factor": 2.0, "warmup_epochs": 0.5, "optimizer": "nesterov"},
        marks=pytest.mark.long,
    ),
    pytest.param(
        {"schedule": "one-cycle", **OFF, "optimizer": "adamw", "gradient_noise": 0.01, "input_noise": 0.1},
        marks=pytest.mark.long,
    ),
    pytest.param(
        {"schedule": "cyclical", **OFF, "flip": True, "cycle": "triangular2", "base_lr": 0.01, "optimizer": "muon"},
        marks=pytest.mark.long,
    ),
    {"schedule": "cosine", **ON, "test_every": 2, "val_split": 0.2, "batch_size": 23},
    {"schedule": "cosine", **ON, "batch_size": "full", "optimizer": "lion", "lr": 0.001, "epochs": 6},
]

Train = Callable[..., Any]


@pytest.fixture(autouse=True)
def _quiet() -> None:
    console.configure(quiet=True)


@pytest.fixture
def train(digits: Path) -> Train:
    defaults = {"data": str(digits), "model": TINY, "batch_size": 32, "epochs": 3, "lr": 0.05, "precision": "float32"}

    def start(run: Path, **settings: Any) -> Any:
        return training.train(run, **(defaults | settings))

    return start


# In an epoch and after it; once between its last step and its test; where an epoch has two steps, in its update too.
STOPS: dict[Any, Any] = {
    32: ((stop_in_step, 3), (stop_after_epoch, 1)),
    23: ((stop_in_step, 3), (stop_in_step, STEPS_PER_EPOCH - 3), (stop_after_epoch, 1)),
    64: ((stop_in_step, 3),),
    "full": ((stop_in_step, 1), (stop_in_step, 1), (stop_after_epoch, 2), (stop_in_step, 1)),
}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plateau cuts after a single epoch without a new low."""
    monkeypatch.setattr(schedules, "PATIENCE", 1)


def assert_resumes(tmp_path: Path, train: Train, settings: dict[str, Any]) -> None:
    """A run in parts equals the one in `tmp_path / "whole"`, which it trains first, to the bit."""
    train(tmp_path / "whole", **settings)
    parts = tmp_path / "parts"
    for stop, at in STOPS[settings.get("batch_size", 32)]:
        with pytest.raises(Stopped):
            train(parts, **settings, stop_when=stop(at))
    train(parts, **settings)
    assert state(parts) == state(tmp_path / "whole")
    models = [keras.models.load_model(path / "best.keras").get_weights() for path in (parts, tmp_path / "whole")]
    assert all((a == b).all() for a, b in zip(*models, strict=True))


@pytest.mark.parametrize("settings", MATRIX, ids=lambda s: "-".join(map(str, s.values())))
def test_resumed_run_equals_the_uninterrupted_one_to_the_bit(
    tmp_path: Path, train: Train, settings: dict[str, Any]
) -> None:
    assert_resumes(tmp_path, train, settings)


def test_plateau_watches_the_validation_images_also_when_resumed(tmp_path: Path, train: Train) -> None:
    assert_resumes(tmp_path, train, PLATEAU)
    rows = state(tmp_path / "whole")["progress"].rows
    losses = [row.val_loss for row in rows]
    assert [row.lr for row in rows] == pytest.approx(
        [1e-6 * schedules.plateau(Moment(0.5, losses[:i])) for i in range(5)]
    )
    assert rows[-1].lr < 1e-6


def test_interruption_of_a_test_ends_it_at_its_next_batch(
    tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(tmp_path / "whole", **ON, epochs=2)
    monkeypatch.setattr(single, "BATCH_SIZE", 10)  # ten batches of test images
    predict, tested = keras.Model.predict_on_batch, []

    def press(model: keras.Model, batch: Any) -> Any:
        tested.append(len(batch))
        if len(tested) == 13:
            os.kill(os.getpid(), signal.SIGINT)
        return predict(model, batch)

    with monkeypatch.context() as patch:
        patch.setattr(keras.Model, "predict_on_batch", press)
        with pytest.raises(Interrupted, match=f"Ctrl-C after {2 * STEPS_PER_EPOCH} steps; everything is saved"):
            train(tmp_path / "parts", **ON, epochs=2)
    assert len(tested) == 13
    assert len(state(tmp_path / "parts")["progress"].rows) == 1
    train(tmp_path / "parts", **ON, epochs=2)
    assert state(tmp_path / "parts")["network"] == state(tmp_path / "whole")["network"]
    lines = [(tmp_path / name / "history.csv").read_text().splitlines()[1:] for name in ("parts", "whole")]
    rows = [[[float(cell) for cell in line.split(",")[:6]] for line in table] for table in lines]
    np.testing.assert_allclose(*rows, rtol=1e-5)  # batches of another size round otherwise


@pytest.fixture(scope="module")
def unfinished(tmp_path_factory: pytest.TempPathFactory, digits: Path) -> Path:
    """A run that was stopped in its second epoch of three."""
    path = tmp_path_factory.mktemp("unfinished")
    settings = {"data": str(digits), "model": TINY, "batch_size": 32, "epochs": 3, "lr": 0.05, "precision": "float32"}
    with pytest.raises(Interrupted):
        training.train(path, **settings, stop_when=stop_in_step(STEPS_PER_EPOCH + 2))
    return path


@pytest.fixture
def run(tmp_path: Path, unfinished: Path) -> RunDir:
    """A copy of the unfinished run."""
    return RunDir(shutil.copytree(unfinished, tmp_path / "run"))


def test_interruption_says_how_far_it_came_and_how_to_go_on(tmp_path: Path, train: Train) -> None:
    with pytest.raises(Interrupted) as caught:
        train(tmp_path, stop_when=stop_in_step(3))
    assert caught.value.message == "Ctrl-C after 3 steps; everything is saved."
    assert caught.value.fix == f"Go on with: evacli train --run {tmp_path}"
    assert caught.value.exit_code == 130


def test_a_caller_can_stop_a_training_and_is_asked_after_every_step_and_epoch(tmp_path: Path, train: Train) -> None:
    asked: list[tuple[int, int, bool]] = []

    def condition(reached: Reached) -> bool:
        asked.append((reached.step, len(reached.rows), reached.loss is not None))
        return reached.step == STEPS_PER_EPOCH + 1

    with pytest.raises(Stopped, match="Stopped as asked after 8 steps; everything is saved") as caught:
        train(tmp_path / "parts", stop_when=condition)
    assert caught.value.exit_code == 1
    assert asked == [*((step, 0, True) for step in range(1, 8)), (7, 1, False), (8, 1, True)]


def test_resuming_says_from_where_and_takes_settings_and_results_from_the_run(
    run: RunDir, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (run.history, run.summary, run.best_model):
        path.write_bytes(b"garbage")
    console.configure()
    assert training.train(run.path).epochs_done == 3
    assert "Resuming in epoch 2 of 3, after 2 of its batches." in capsys.readouterr().err
    assert state(run.path)["progress"].lr == 0.05
    assert keras.models.load_model(run.best_model)
    assert "finished" in run.summary.read_text()
    assert run.history.read_text().count("\n") == 4


def refused(run: RunDir, error: type[Exception], match: str, **settings: Any) -> Any:
    before = run.checkpoint.read_bytes() if run.checkpoint.exists() else b""
    with pytest.raises(error, match=match) as caught:
        training.train(run.path, **settings)
    assert not run.checkpoint.exists() or run.checkpoint.read_bytes() == before
    return caught.value


def test_another_setting_is_refused_with_the_difference(run: RunDir) -> None:
    refused(
        run,
        Contradiction,
        r"--momentum 0\.5 \(run: default\); --batch-size 64 \(run: 32\)\.",
        batch_size=64,
        momentum=0.5,
    )


def other_data(digits: Path, path: Path, **changes: Any) -> str:
    with np.load(digits) as stored:
        np.savez(path, **({name: stored[name] for name in stored.files} | changes))
    return str(path)


def test_an_epoch_of_grown_batches_is_not_cut_short_by_other_epochs(tmp_path: Path, train: Train) -> None:
    run, settings = RunDir(tmp_path), {"schedule": "step", "grow_batch": 64, "drop_factor": 2.0}
    with pytest.raises(Interrupted):
        train(run.path, **settings, stop_when=stop_in_step(3))
    assert "--epochs 3" in refused(run, Contradiction, "stopped inside an epoch", epochs=9).fix
    assert training.train(run.path).epochs_done == 3


def test_moved_data_is_the_same_data(run: RunDir, digits: Path, tmp_path: Path) -> None:
    moved = other_data(digits, tmp_path / "moved.npz")
    assert training.train(run.path, data=moved).epochs_done == 3
    assert config_file.read(run).data == moved  # where report and gradcam look for it


def test_one_other_pixel_is_other_data(run: RunDir, digits: Path, tmp_path: Path) -> None:
    with np.load(digits) as stored:
        x = stored["x_test"].copy()
    x[-1, -1, -1] ^= 1
    refused(
        run, DataError, "not those that the run was trained on", data=other_data(digits, tmp_path / "a.npz", x_test=x)
    )


def test_other_classes_are_named(run: RunDir, digits: Path, tmp_path: Path) -> None:
    names = np.array([f"digit {i}" for i in range(10)])
    data = other_data(digits, tmp_path / "a.npz", class_names=names)
    refused(run, DataError, r"without '0', '1', '2' and 7 more, with the new 'digit 0', ", data=data)


def test_changed_network_file_is_refused(tmp_path: Path, train: Train) -> None:
    file, run = tmp_path / "mine.py", RunDir(tmp_path / "run")
    shutil.copy(Path(__file__).with_name("tiny_networks.py"), file)
    with pytest.raises(Interrupted):
        train(run.path, model=f"{file}:tiny", stop_when=stop_in_step(3))
    original = file.read_text()
    file.write_text(original.replace("Dropout(0.3)", "Dropout(0.2)"))  # the weights have the same shapes
    refused(run, ModelError, r"mine\.py:tiny is not the network that the run was trained with")
    file.write_text("# a comment\n" + original)
    assert training.train(run.path).state == "finished"


def test_moved_code_is_the_same_code(run: RunDir, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere" / "mine.py"
    moved.parent.mkdir()
    shutil.copy(Path(__file__).with_name("tiny_networks.py"), moved)
    assert training.train(run.path, model=f"{moved}:tiny").model == "mine.py:tiny"
    assert config_file.read(run).model == f"{moved}:tiny"
    refused(run, ModelError, "is not the network that the run was trained with", model=f"{moved}:statistics", epochs=4)


@pytest.mark.parametrize("spelled", ["{name}", "sub/../{name}"])
def test_a_run_goes_on_however_its_files_are_spelled(
    run: RunDir, tmp_path: Path, digits: Path, monkeypatch: pytest.MonkeyPatch, spelled: str
) -> None:
    (tmp_path / "sub").mkdir()
    shutil.copy(Path(__file__).with_name("tiny_networks.py"), tmp_path / "net.py")
    shutil.copy(digits, tmp_path / "digits.npz")
    monkeypatch.chdir(tmp_path)
    model, data = (spelled.format(name=name) for name in ("net.py:tiny", "digits.npz"))
    assert training.train(run.path, model=model, data=data).epochs_done == 3
    monkeypatch.chdir(tmp_path / "sub")
    assert training.train(run.path).epochs_done == 3
    stored = config_file.read(run)
    assert (stored.model, stored.data) == (f"{tmp_path}/net.py:tiny", f"{tmp_path}/digits.npz")


def test_files_that_an_earlier_version_stored_are_found_from_any_folder(
    run: RunDir, tmp_path: Path, digits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stored the path as it was given: from the folder in which the command was."""
    shutil.copy(Path(__file__).with_name("tiny_networks.py"), tmp_path / "net.py")
    shutil.copy(digits, tmp_path / "digits.npz")
    progress, arrays = checkpoint.load(run)
    old = msgspec.structs.replace(progress.config, model="net.py:tiny", data="digits.npz")
    checkpoint.save(run, msgspec.structs.replace(progress, config=old), arrays)
    config_file.write(run, old)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(ModelError, match=r"asks to run \.\./net\.py:tiny, a file that you have not named"):
        training.train(run.path)
    assert training.train(run.path, model="../net.py:tiny").epochs_done == 3


def test_a_run_of_another_spelling_of_its_classes_goes_on(run: RunDir, digits: Path, tmp_path: Path) -> None:
    names = [f"é{i}" for i in range(10)]
    apart = [unicodedata.normalize("NFD", name) for name in names]
    data = other_data(digits, tmp_path / "data.npz", class_names=np.array(names))
    loaded = load(make({"data": data}))
    old = survey(tuple(apart), loaded.train, None, loaded.test).fingerprint
    assert old != loaded.fingerprint
    progress, arrays = checkpoint.load(run)
    progress = msgspec.structs.replace(progress, class_names=tuple(apart), data_fingerprint=old)
    checkpoint.save(run, progress, arrays)
    changed = other_data(digits, tmp_path / "changed.npz", class_names=np.array(names[::-1]))
    refused(run, DataError, "the same names in another order", data=changed)
    assert training.train(run.path, data=data).class_names == tuple(names)


def test_other_versions_are_reported(run: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    progress, arrays = checkpoint.load(run)
    checkpoint.save(run, msgspec.structs.replace(progress, versions=progress.versions | {"keras": "3.0.0"}), arrays)
    training.train(run.path)
    err = capsys.readouterr().err
    assert f"warning: Since the run began: keras 3.0.0 -> {keras.__version__}." in err


@pytest.mark.parametrize("name", ["checkpoint.npz", "config.json"])
@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x03\x04 half a zip"])
def test_garbled_file_is_refused_by_its_name(run: RunDir, name: str, content: bytes) -> None:
    (run.path / name).write_bytes(content)
    run.checkpoint_before.unlink(missing_ok=True)  # which would take its place
    assert refused(run, RunError, name).fix


def test_missing_checkpoint_is_no_reason_to_begin_anew_over_the_results(run: RunDir) -> None:
    run.checkpoint.unlink()
    run.checkpoint_before.unlink()
    error = refused(run, RunError, r"has best\.keras and history\.csv of a training but no checkpoint\.npz")
    assert "--overwrite" in error.fix
    assert run.best_model.exists()


def test_missing_configuration_comes_from_the_checkpoint(run: RunDir, unfinished: Path) -> None:
    run.config.unlink()
    refused(run, Contradiction, r"--seed 1 \(run: 0\)", seed=1)
    assert training.train(run.path).epochs_done == 3
    assert run.config.read_bytes() == (unfinished / "config.json").read_bytes()


def test_configuration_of_another_run_is_refused_with_the_difference(run: RunDir) -> None:
    run.config.write_text(run.config.read_text().replace('"momentum": null', '"momentum": 0.8'))
    error = refused(run, Contradiction, r"--momentum 0\.8 \(run: default\)")
    assert "Delete" in error.fix


@pytest.mark.parametrize("group", ["network", "optimizer", "best", "metrics"])
def test_weights_of_another_network_are_refused(run: RunDir, group: str) -> None:
    progress, arrays = checkpoint.load(run)
    checkpoint.save(run, progress, arrays | {group: [array[..., None] for array in arrays[group]]})
    refused(run, RunError, "do not fit this run's network")
