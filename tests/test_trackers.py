"""What a tracker is told, that none can stop a training, and what the real ones, where installed, have then."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
from stops import stop_after_epoch
from tiny_data import TINY

import evacli
from evacli import console, extras
from evacli.catalogue.trackers import TRACKERS
from evacli.config import SETTINGS
from evacli.errors import ConfigError, Diverged, Stopped
from evacli.run import history
from evacli.run.directory import RunDir
from evacli.run.history import Row
from evacli.run.summary import Summary
from evacli.training.trackers.choice import chosen

pytestmark = pytest.mark.tensorflow


class Fake:
    """Notes what it is told; fails in the method called `fails`."""

    told: ClassVar[list[tuple[str, Any]]] = []
    fails = ""

    def __init__(self, run: RunDir) -> None:
        self._hear("open", run.path)

    def _hear(self, what: str, value: Any) -> None:
        if what == self.fails:
            raise OSError(f"no {what} today\nand no other day")
        self.told.append((what, value))

    def begin(self, config: Mapping[str, Any]) -> None:
        self._hear("begin", config)

    def epoch(self, row: Row) -> None:
        self._hear("epoch", row)

    def keep(self, files: Sequence[Path]) -> None:
        self._hear("keep", [file.name for file in files])

    def end(self, summary: Summary) -> None:
        self._hear("end", summary)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[Fake]:
    monkeypatch.setitem(TRACKERS, "fake", "test_trackers:Fake")
    monkeypatch.setattr(extras, "find_spec", lambda name: True)
    import test_trackers

    monkeypatch.setattr(test_trackers.Fake, "told", [])
    monkeypatch.setattr(test_trackers.Fake, "fails", "")
    return test_trackers.Fake


@pytest.fixture(scope="module")
def train(digits: Path) -> Callable[..., Summary]:
    defaults = {"data": str(digits), "model": TINY, "batch_size": 50, "epochs": 3, "lr": 0.05, "precision": "float32"}
    return lambda run, **settings: evacli.train(run, **(defaults | settings))


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, train: Callable[..., Summary]) -> Path:
    """A run of two epochs that was not logged."""
    run = tmp_path_factory.mktemp("alone") / "run"
    train(run, epochs=2)
    return run


@pytest.fixture(autouse=True)
def _quiet() -> None:
    console.configure(quiet=True)


def told(fake: type[Fake], what: str) -> list[Any]:
    return [value for kind, value in fake.told if kind == what]


def rows_of(run: Path) -> list[Row]:
    return history.read_csv(RunDir(run).history)


def test_a_tracker_is_told_of_all_that_happens(tmp_path: Path, fake: type[Fake], train: Callable[..., Summary]) -> None:
    summary = train(tmp_path / "run", log="fake")
    assert [kind for kind, _ in fake.told] == ["open", "begin", *3 * ["epoch"], "keep", "end"]
    (config,) = told(fake, "begin")
    assert config.keys() == SETTINGS.keys()
    assert config["batch_size"] == 50
    assert [row.epoch for row in told(fake, "epoch")] == [1, 2, 3]
    assert told(fake, "epoch")[2].test_accuracy == pytest.approx(rows_of(tmp_path / "run")[2].test_accuracy)
    assert told(fake, "keep") == [["config.json", "history.csv", "summary.json"]]
    assert told(fake, "end") == [summary]


def test_a_training_that_goes_on_tells_of_what_was_before(
    tmp_path: Path, fake: type[Fake], train: Callable[..., Summary]
) -> None:
    with pytest.raises(Stopped):
        train(tmp_path / "run", log="fake", stop_when=stop_after_epoch(2))
    assert [row.epoch for row in told(fake, "epoch")] == [1, 2]
    fake.told.clear()
    train(tmp_path / "run", log="fake")
    assert [row.epoch for row in told(fake, "epoch")] == [1, 2, 3]


def test_how_it_ended_is_told(tmp_path: Path, fake: type[Fake], train: Callable[..., Summary]) -> None:
    with pytest.raises(Stopped):
        train(tmp_path / "stopped", log="fake", stop_when=lambda reached: True)
    with pytest.raises(Diverged):
        train(tmp_path / "diverged", log="fake", lr=1e6, schedule="constant")
    assert [summary.state for summary in told(fake, "end")] == ["unfinished", "failed"]


@pytest.mark.parametrize("fails", ["open", "begin", "epoch", "keep", "end"])
def test_a_tracker_that_fails_is_left_out_and_changes_nothing(
    tmp_path: Path,
    alone: Path,
    fake: type[Fake],
    train: Callable[..., Summary],
    monkeypatch: pytest.MonkeyPatch,
    fails: str,
) -> None:
    said: list[str] = []
    monkeypatch.setattr(console, "warn", said.append)
    monkeypatch.setattr(fake, "fails", fails)
    assert train(tmp_path / "run", log="fake", epochs=2).state == "finished"
    assert said == [f"fake is left out from here on: OSError: no {fails} today and no other day"]
    kinds = [kind for kind, _ in fake.told]
    assert kinds == ["open", "begin", "epoch", "epoch", "keep", "end"][: len(kinds)]
    logged, plain = (pd.read_csv(run / "history.csv").drop(columns="seconds") for run in (tmp_path / "run", alone))
    pd.testing.assert_frame_equal(logged, plain, check_exact=True)


def test_a_missing_package_is_told_before_anything_begins(
    tmp_path: Path, train: Callable[..., Summary], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="--log mlflow needs mlflow, which is not installed") as refused:
        train(tmp_path / "run", log="mlflow")
    assert refused.value.fix == "Run: pip install 'evacli[mlflow]'"
    assert not (tmp_path / "run").exists()


def test_a_run_remembers_where_it_was_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(console, "warn", said.append)
    run = RunDir(tmp_path)
    monkeypatch.setattr(extras, "find_spec", lambda name: True)
    assert chosen(run, None) == []
    run.mlflow.mkdir()
    run.mlflow_run.write_text("{}")
    assert chosen(run, None) == ["mlflow"]
    assert chosen(run, "none") == []
    assert chosen(run, "tensorboard") == ["tensorboard"]
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    assert chosen(run, None) == []
    assert said == [f"{tmp_path} was logged to mlflow, which is not installed; it is not logged now."]


def in_tensorboard(run: Path) -> dict[str, list[tuple[int, float]]]:
    """The scalars that TensorBoard shows: (step, value) by tag."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    found = EventAccumulator(str(run / "tensorboard"), size_guidance={"tensors": 0}).Reload()
    tags = [tag for tag in found.Tags()["tensors"] if tag != "settings" and not tag.startswith(("final", "curves"))]
    return {tag: [(e.step, float(make_ndarray(e.tensor_proto))) for e in found.Tensors(tag)] for tag in tags}


def in_mlflow(run: Path) -> dict[str, list[tuple[int, float]]]:
    """The metrics that MLflow shows: (step, value) by name."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{run.resolve()}/mlflow/mlflow.db")
    (found,) = client.search_runs([client.get_experiment_by_name("evacli").experiment_id])
    assert found.info.status == "FINISHED"
    assert found.data.params["batch_size"] == "50"
    assert {file.path for file in client.list_artifacts(found.info.run_id)} >= {"history.csv", "summary.json"}
    names = [name for name in found.data.metrics if name not in ("top_accuracy", "top_epoch", "images_per_second")]
    return {
        name: [(m.step, m.value) for m in client.get_metric_history(found.info.run_id, name)]
        for name in names
        if name != "final_test_accuracy"
    }


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("log", "read", "names"),
    [
        ("tensorboard", in_tensorboard, {"train_loss": "loss/train", "test_accuracy": "accuracy/test", "lr": "lr"}),
        ("mlflow", in_mlflow, {"train_loss": "train_loss", "test_accuracy": "test_accuracy", "lr": "lr"}),
    ],
)
def test_the_real_ones_have_each_epoch_once(
    tmp_path: Path,
    train: Callable[..., Summary],
    monkeypatch: pytest.MonkeyPatch,
    log: str,
    read: Callable[[Path], dict[str, list[tuple[int, float]]]],
    names: dict[str, str],
) -> None:
    pytest.importorskip(log)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    said: list[str] = []
    monkeypatch.setattr(console, "warn", said.append)
    run = tmp_path / "run"
    with pytest.raises(Stopped):  # an epoch of which a tracker knows nothing yet, as after a kill
        train(run, epochs=4, stop_when=stop_after_epoch(1))
    with pytest.raises(Stopped):
        train(run, log=log, epochs=4, stop_when=stop_after_epoch(2))
    with pytest.raises(Stopped):
        train(run, log="none", epochs=4, stop_when=stop_after_epoch(3))
    train(run, epochs=4)
    assert said == []
    found = read(run)
    rows = rows_of(run)
    assert all([step for step, _ in values] == [1, 2, 3, 4] for values in found.values())
    for column, name in names.items():
        values = [value for _, value in found[name]]
        np.testing.assert_allclose(values, [getattr(row, column) for row in rows], rtol=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_a_report_adds_its_curves(tmp_path: Path, train: Callable[..., Summary]) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(tmp_path / "run", log="tensorboard", epochs=1)
    evacli.report(tmp_path / "run", gradcam=False)
    found = EventAccumulator(str(tmp_path / "run" / "tensorboard"), size_guidance={"tensors": 0}).Reload()
    assert [event.step for event in found.Tensors("curves")] == [1]
