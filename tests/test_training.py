import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
from run_state import state
from sklearn.metrics import balanced_accuracy_score, f1_score
from stops import stop_after_epoch, stop_in_step
from tiny_data import TINY

import evacli
from evacli import config, console, data
from evacli.backend import keras
from evacli.catalogue import schedules
from evacli.catalogue.optimizers import OPTIMIZERS
from evacli.catalogue.schedules import Moment, one_cycle
from evacli.errors import ConfigError, DataError, Diverged, Interrupted, MemoryShort, RunError, Stopped
from evacli.run import checkpoint
from evacli.run.directory import RunDir
from evacli.run.lr_result import LrFindResult
from evacli.run.summary import Summary
from evacli.training.rates import choose_rates
from evacli.training.state import TrainingState

Train = Callable[..., Summary]


@pytest.fixture(autouse=True)
def _quiet() -> None:
    console.configure(quiet=True)


@pytest.fixture(scope="module")
def settings(digits: Path) -> dict[str, Any]:
    return {"data": digits, "model": TINY, "batch_size": 32, "epochs": 2, "lr": 0.05, "precision": "float32"}


@pytest.fixture
def train(settings: dict[str, Any]) -> Train:
    return lambda run, **changes: evacli.train(run, **(settings | changes))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, settings: dict[str, Any]) -> RunDir:
    """A finished run of three epochs; tests leave it as it is."""
    path = tmp_path_factory.mktemp("trained") / "run"
    evacli.train(path, **(settings | {"epochs": 3}))
    return RunDir(path)


@pytest.fixture
def copied(trained: RunDir, tmp_path: Path) -> RunDir:
    """A copy of it, for tests that change it."""
    return RunDir(shutil.copytree(trained.path, tmp_path / "copy"))


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory, settings: dict[str, Any]) -> tuple[RunDir, LrFindResult]:
    """A run that is not trained yet, and what its range test found."""
    path = tmp_path_factory.mktemp("searched")
    return RunDir(path), evacli.lr_find(path, min_lr=1e-4, steps=40, **(settings | {"lr": "auto"}))


def history(run: RunDir | Path) -> pd.DataFrame:
    return pd.read_csv(RunDir(getattr(run, "path", run)).history)


def test_history_is_a_table_of_the_promised_columns(trained: RunDir) -> None:
    table = history(trained)
    assert list(table.columns) == [
        "epoch", "lr", "train_loss", "train_accuracy", "test_loss", "test_accuracy", "seconds",
    ]  # fmt: skip
    assert table.epoch.tolist() == [1, 2, 3]
    assert table.dtypes.drop("epoch").eq("float64").all()
    assert table.train_accuracy.between(0, 1).all()
    assert (table.seconds > 0).all()


def test_summary_is_what_the_history_says(trained: RunDir) -> None:
    found, table = json.loads(trained.summary.read_text()), history(trained)
    assert found["state"] == "finished"
    assert found["epochs_done"] == 3
    assert found["top_accuracy"] == found["test_accuracy"] == pytest.approx(table.test_accuracy.max(), abs=1e-12)
    assert found["top_epoch"] == table.epoch[table.test_accuracy.argmax()]
    assert found["chosen_by"] == "test"
    assert (found["train_images"], found["validation_images"], found["test_images"]) == (200, 0, 100)
    assert found["seconds"] == pytest.approx(table.seconds.sum())


# Knows Keras and NumPy and nothing of evacli.
BARE = """
import sys
import keras, numpy as np
model, data, out = sys.argv[1:]
with np.load(data) as stored:
    np.save(out, keras.models.load_model(model).predict(stored["x_test"], verbose=0))
assert "evacli" not in sys.modules
"""


def test_best_model_predicts_the_same_in_plain_keras(trained: RunDir, digits: Path, tmp_path: Path) -> None:
    out = tmp_path / "probabilities.npy"
    subprocess.run([sys.executable, "-c", BARE, trained.best_model, digits, out], check=True, capture_output=True)
    with np.load(digits) as stored:
        images, labels = stored["x_test"], stored["y_test"]
    plain = np.load(out)
    best = keras.models.load_model(trained.best_model)
    assert np.abs(plain - best(images.astype(np.float32)).numpy()).max() < 1e-5
    assert np.abs(plain.sum(1) - 1).max() < 1e-5
    assert (plain.argmax(1) == labels).mean() == pytest.approx(history(trained).test_accuracy.max())
    told = json.loads(trained.summary.read_text())
    assert told["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(labels, plain.argmax(1)))
    predicted_or_there = sorted({*labels.tolist(), *plain.argmax(1).tolist()})
    assert told["macro_f1"] == pytest.approx(
        f1_score(labels, plain.argmax(1), labels=predicted_or_there, average="macro")
    )
    loss = -np.log(plain[np.arange(100), labels]).mean()
    assert loss == pytest.approx(history(trained).test_loss[history(trained).test_accuracy.argmax()], rel=1e-4)


def test_a_network_learns(train: Train, tmp_path: Path) -> None:
    assert train(tmp_path, epochs=10, cutout=0, crop=0, flip=False, batch_size=16).top_accuracy > 0.4


def test_rate_follows_the_schedule_to_its_last_step(trained: RunDir) -> None:
    # 7 batches an epoch: the last steps of the epochs are the 6th, 13th and 20th of 0..20.
    expected = [0.05 * one_cycle(Moment(step / 20)) for step in (6, 13, 20)]
    assert history(trained).lr.tolist() == pytest.approx(expected, rel=1e-6)


def test_history_shows_the_batch_size_of_every_epoch_where_it_grows(train: Train, tmp_path: Path) -> None:
    train(tmp_path, schedule="step", grow_batch=100, drop_factor=2, epochs=4)
    table = history(tmp_path)
    assert table.batch_size.tolist() == [32, 32, 64, 100]
    assert table.lr.tolist() == pytest.approx([0.05] * 3 + [0.05 * 100 / 128])


def test_passing_epochs_over_changes_nothing_but_what_is_known_of_them(train: Train, tmp_path: Path) -> None:
    settings = {"val_split": 0.2, "epochs": 5}
    seldom = train(tmp_path / "seldom", test_every=2, **settings)
    train(tmp_path / "always", **settings)
    table, whole = history(tmp_path / "seldom"), history(tmp_path / "always")
    judged = [name for name in whole if name.startswith(("test_", "val_"))]
    assert table[judged].notna().all(axis=1).tolist() == [False, True, False, True, True]
    whole.loc[[0, 2], judged] = np.nan
    pd.testing.assert_frame_equal(table.drop(columns="seconds"), whole.drop(columns="seconds"))
    assert seldom.top_accuracy == whole.val_accuracy.max()
    assert seldom.top_epoch in (2, 4, 5)
    finals = [checkpoint.load(RunDir(tmp_path / name))[1]["network"] for name in ("seldom", "always")]
    assert all((a == b).all() for a, b in zip(*finals, strict=True))


def test_a_training_that_stops_before_its_first_test_has_no_top_accuracy_yet(train: Train, tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        train(tmp_path, test_every=3, epochs=4, stop_when=stop_after_epoch(2))
    (listed,) = evacli.runs(tmp_path)
    assert (listed.state, listed.epochs_done, listed.top_accuracy) == ("unfinished", 2, None)
    with pytest.raises(RunError, match="no trained model"):
        evacli.report(tmp_path, gradcam=False)
    assert train(tmp_path, epochs=4).top_epoch in (3, 4)
    # How often it tests may change, and so may its end.
    assert train(tmp_path, test_every=1, epochs=6).epochs_done == 6
    assert history(tmp_path).test_accuracy.notna().tolist() == [False, False, True, True, True, True]


def test_cyclical_begins_where_lr_find_saw_the_loss_fall(searched: tuple[RunDir, LrFindResult]) -> None:
    run, found = searched
    cyclical = msgspec.structs.replace(found.config, schedule="cyclical")
    rates = choose_rates(run, cyclical)
    assert (rates.lr, rates.base_lr) == (found.lr, found.base_lr)
    assert 1e-4 <= found.base_lr < found.lr
    assert choose_rates(run, msgspec.structs.replace(cyclical, base_lr=1e-3)).base_lr == 1e-3


def test_base_rate_above_the_peak_is_refused(train: Train, tmp_path: Path, copied: RunDir) -> None:
    with pytest.raises(ConfigError, match=r"--base-lr 0\.06 is not below the peak, 0\.05"):
        train(tmp_path / "new", lr="auto", base_lr=0.06)
    assert not (tmp_path / "new").exists()
    with pytest.raises(ConfigError, match="is not below the peak"):
        train(copied.path, lr="auto", base_lr=0.06, overwrite=True)
    assert copied.best_model.exists()


def test_rate_comes_from_lr_find_if_that_fits(train: Train, searched: tuple[RunDir, LrFindResult]) -> None:
    run, found = searched
    used = train(run.path, lr="auto", epochs=1)
    assert (used.lr, used.lr_source) == (found.lr, f"lr-find, {found.rule}")
    explicit = choose_rates(run, msgspec.structs.replace(found.config, lr=0.03))
    assert (explicit.lr, explicit.source) == (0.03, "--lr")
    unlike = choose_rates(run, msgspec.structs.replace(found.config, batch_size=16))
    assert unlike.lr == OPTIMIZERS["sgdw"].lr
    assert "--batch-size" in unlike.source


def test_without_lr_find_the_default_is_taken_and_named(settings: dict[str, Any], tmp_path: Path) -> None:
    found = choose_rates(RunDir(tmp_path), config.make(settings | {"lr": "auto"}))
    assert found.lr == OPTIMIZERS["sgdw"].lr
    assert "default" in found.source


def test_garbled_lr_find_is_one_clean_error(train: Train, tmp_path: Path) -> None:
    (tmp_path / "lr_find.json").write_text("{}")
    with pytest.raises(RunError, match=r"lr_find\.json"):
        train(tmp_path, lr="auto")
    assert {path.name for path in tmp_path.iterdir()} == {"lr_find.json", "train.lock"}


def test_finished_run_can_be_extended(train: Train, tmp_path: Path) -> None:
    train(tmp_path, schedule="constant", epochs=1)
    first = history(tmp_path)
    assert evacli.train(tmp_path, epochs=2).epochs_done == 2
    pd.testing.assert_frame_equal(history(tmp_path)[:1], first)
    train(tmp_path / "whole", schedule="constant")
    assert state(tmp_path) == state(tmp_path / "whole")


def test_where_memory_ends_the_last_checkpoint_is_kept(
    train: Train, trained: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, new = shutil.copytree(trained.path, tmp_path / "run"), tmp_path / "new"
    before = state(run)

    def short(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("evacli.engine.single.SingleEngine.run", short)
    with pytest.raises(MemoryShort) as caught:
        train(run, epochs=4)
    assert caught.value.message == "There is not enough memory to train in batches of 32; the last checkpoint is kept."
    assert caught.value.fix.startswith(f"Go on where more is free: evacli train --run {run}; or start anew with --over")
    assert "--batch-size 16" in caught.value.fix
    assert state(run) == before
    fix = r"Use --batch-size 16, smaller images or a smaller network\."
    with pytest.raises(MemoryShort, match=rf"^There is not enough memory to train in batches of 32\. {fix}$"):
        train(new)


@pytest.mark.parametrize("epochs", [3, 2])
def test_finished_run_answers_at_once_without_its_data(
    trained: RunDir, epochs: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    console.configure()
    monkeypatch.setattr(data, "load", None)
    before = {path: path.read_bytes() for path in trained.path.iterdir()}
    assert evacli.train(trained.path, epochs=epochs).epochs_done == 3
    assert {path: path.read_bytes() for path in trained.path.iterdir()} == before
    assert "already has its 3 epochs" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["best.keras", "history.csv", "summary.json"])
def test_finished_run_writes_a_deleted_result_again(trained: RunDir, copied: RunDir, name: str) -> None:
    run = copied
    (run.path / name).unlink()
    assert evacli.train(run.path).epochs_done == 3
    assert history(run).equals(history(trained))
    assert run.summary.read_bytes() == trained.summary.read_bytes()
    models = [keras.models.load_model(path).get_weights() for path in (run.best_model, trained.best_model)]
    assert all((a == b).all() for a, b in zip(*models, strict=True))


def test_finished_run_does_not_pass_for_one_on_other_data(trained: RunDir, digits: Path, tmp_path: Path) -> None:
    with np.load(digits) as stored:
        np.savez(tmp_path / "other.npz", **{name: stored[name][::-1] for name in stored.files})
    with pytest.raises(DataError, match="not those that the run was trained on"):
        evacli.train(trained.path, data=tmp_path / "other.npz")


def test_overwriting_starts_anew_with_the_runs_settings(train: Train, tmp_path: Path) -> None:
    train(tmp_path, seed=3, epochs=1)
    once = state(tmp_path)
    assert evacli.train(tmp_path, overwrite=True).epochs_done == 1
    assert state(tmp_path) == once
    assert evacli.train(tmp_path, overwrite=True, seed=4).epochs_done == 1
    assert state(tmp_path) != once


def test_epoch_chosen_by_validation_is_labelled_so(train: Train, tmp_path: Path) -> None:
    found, table = train(tmp_path, val_split=0.2, epochs=3), history(tmp_path)
    assert list(table.columns[-2:]) == ["val_loss", "val_accuracy"]
    assert found.chosen_by == "validation"
    assert (found.train_images, found.validation_images, found.test_images) == (160, 40, 100)
    assert found.top_accuracy == table.val_accuracy.max()
    assert found.top_epoch == table.epoch[table.val_accuracy.argmax()]
    assert found.test_accuracy == table.test_accuracy[table.val_accuracy.argmax()]


def test_loss_that_is_not_finite_stops_the_run(train: Train, tmp_path: Path) -> None:
    with pytest.raises(Diverged, match="not finite in epoch 1") as caught:
        train(tmp_path, lr=1e6, schedule="constant")
    assert "--lr 1e+05" in caught.value.fix
    found = json.loads((tmp_path / "summary.json").read_text())
    assert (found["state"], found["epochs_done"]) == ("failed", 0)
    assert "checkpoint" not in caught.value.message
    assert not (tmp_path / "checkpoint.npz").exists()
    with pytest.raises(Interrupted):
        train(tmp_path, lr=0.05, stop_when=stop_in_step(1))
    assert [run.state for run in evacli.runs(tmp_path)] == ["unfinished"]
    assert train(tmp_path, lr=0.05).state == "finished"


def diverge(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(schedules, "factor", lambda *arguments: 1e30)


@pytest.mark.parametrize("minutes", [0, 5])
def test_last_good_checkpoint_outlives_a_divergence(
    copied: RunDir, monkeypatch: pytest.MonkeyPatch, minutes: float
) -> None:
    with monkeypatch.context() as patch:
        diverge(patch)
        with pytest.raises(Diverged, match="not finite in epoch 4; the last good checkpoint is kept"):
            evacli.train(copied.path, epochs=4, checkpoint_minutes=minutes)
    found = json.loads(copied.summary.read_text())
    assert (found["state"], found["epochs_done"]) == ("failed", 3)
    progress, arrays = checkpoint.load(copied)
    assert len(progress.rows) == 3
    assert all(np.isfinite(array).all() for array in arrays["network"])
    assert evacli.train(copied.path).state == "finished"


def test_training_works_outside_the_main_thread(train: Train, tmp_path: Path) -> None:
    found: list[Summary] = []
    thread = threading.Thread(target=lambda: found.append(train(tmp_path, epochs=1)))
    thread.start()
    thread.join()
    assert found[0].state == "finished"


@pytest.mark.parametrize("year", [1979, 2108])
def test_a_date_that_no_zip_file_holds_is_told_before_the_work(
    train: Train, tmp_path: Path, year: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "localtime", lambda: time.struct_time((year, 12, 31, 0, 0, 0, 0, 365, 0)))
    with pytest.raises(RunError, match=f"The clock of this machine says {year}"):
        train(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_leftovers_of_killed_processes_are_removed(copied: RunDir) -> None:
    copied.history.unlink()  # so that there is something to do
    for name in (".checkpoint.x1.tmp.npz", ".best.x2.tmp.keras", ".report.x3.tmp.html"):
        (copied.path / name).touch()
    evacli.train(copied.path)
    assert [path.name for path in copied.path.glob(".*")] == [".report.x3.tmp.html"]


def test_overwriting_deletes_nothing_where_it_cannot_begin(train: Train, copied: RunDir) -> None:
    copied.lr_find_json.write_text("garbage")
    before = copied.checkpoint.read_bytes()
    with pytest.raises(RunError, match=r"lr_find\.json"):
        train(copied.path, epochs=1, overwrite=True, lr="auto")
    assert copied.best_model.exists()
    assert copied.checkpoint.read_bytes() == before


def test_overwriting_leaves_no_evidence_of_the_network_before(train: Train, copied: RunDir) -> None:
    run = copied
    stale = [run.report, run.curves_png, run.confusion_png, run.misclassified, run.gradcam_png]
    run.gradcam_folder.mkdir()
    single, own = run.gradcam_folder / "00001-predicted-cat-true-dog.png", run.gradcam_folder / "mine.png"
    for path in (*stale, single, own):
        path.write_bytes(b"")
    train(run.path, epochs=1, overwrite=True)
    assert not any(path.exists() for path in (*stale, single))
    assert own.exists()


def test_the_best_network_is_written_when_it_is_better_and_not_every_epoch(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    write = TrainingState.write_best
    monkeypatch.setattr(TrainingState, "write_best", lambda s: written.append(s.progress.best_epoch) or write(s))
    train(tmp_path, epochs=8, lr=0.3, schedule="constant")
    accuracies = history(tmp_path).test_accuracy
    better = [i + 1 for i, accuracy in enumerate(accuracies) if all(accuracy > before for before in accuracies[:i])]
    assert written == better
    assert len(better) < 8
