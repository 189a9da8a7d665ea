"""Sweeps whose trainings only look so, for what must be quick; tests/test_sweep_trained.py has real ones."""

import json
import shlex
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock, PropertyMock

import msgspec
import pandas as pd
import pytest
import sweep_torture
from fake_train import accuracy
from sweep_torture import FAKE, driver, torture
from tiny_run import make_rows
from typer.testing import CliRunner

import evacli
from evacli import extras
from evacli.cli import app
from evacli.commands.sweep import folded
from evacli.config import command, options
from evacli.errors import ConfigError, Contradiction, DataError, EvacliError, ModelError
from evacli.run import locking
from evacli.run.directory import RunDir
from evacli.sweeping import plan, training
from evacli.sweeping.driver import PAUSE, Driver
from evacli.sweeping.files import SweepDir
from evacli.sweeping.result import SweepResult
from evacli.sweeping.training import environments
from evacli.sweeping.trying import TrialJob, TrialWork

pytestmark = pytest.mark.slow
SEARCH, EPOCHS = "lr=1e-3..1e-1:log,optimizer=sgdw|adamw", 4
SHARED = {"dataset": "digits", "epochs": EPOCHS, "seed": 3}


@pytest.fixture(scope="module", autouse=True)
def _fake() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "TRAIN", (sys.executable, str(FAKE)))
        patch.setattr("evacli.sweeping.driver.PAUSE", PAUSE / 10)
        yield


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> SweepResult:
    """Five trials, two at a time, and the best of them once more with two seeds."""
    path = tmp_path_factory.mktemp("swept") / "a sweep"
    return evacli.sweep(path, search=SEARCH, trials=5, jobs=2, seeds=2, **SHARED)


def test_trials_are_judged_by_their_validation_accuracy_and_the_best_comes_first(swept: SweepResult) -> None:
    assert sorted(trial.number for trial in swept.trials) == list(range(5))
    for trial in swept.trials:
        lr = trial.settings["lr"]
        assert trial.curve == {epoch: accuracy(lr, epoch) for epoch in range(1, EPOCHS + 1)}
        assert (trial.val_accuracy, trial.val_epoch, trial.state) == (accuracy(lr, EPOCHS), EPOCHS, "finished")
        log = SweepDir(swept.sweep).log(SweepDir(swept.sweep).trial(trial.number)).read_text()
        assert f"  {lr:g}  " in log  # the rate that the training was given
    found = [trial.val_accuracy for trial in swept.trials]
    assert found == sorted(found, reverse=True)
    assert swept.best == swept.trials[0].number
    assert sum(swept.importance.values()) == pytest.approx(1)


def test_only_the_best_is_tested_and_with_other_seeds(swept: SweepResult) -> None:
    tested = swept.repeated
    assert tested.seeds == [4, 5]
    assert [Path(run).name for run in tested.runs] == [f"trial-{swept.best:03}-seed-{seed}" for seed in (4, 5)]
    assert tested.test_accuracies == [0.54, 0.55]  # what that program says of a seed
    assert tested.test_accuracy == pytest.approx(0.545)
    assert tested.deviation == pytest.approx(statistics.stdev([0.54, 0.55]))


def test_the_table_has_every_trial(swept: SweepResult) -> None:
    table = pd.read_csv(swept.table)
    assert table.trial.tolist() == [trial.number for trial in swept.trials]
    assert table.lr.tolist() == [trial.settings["lr"] for trial in swept.trials]
    assert table.val_accuracy.tolist() == [trial.val_accuracy for trial in swept.trials]


def test_the_command_goes_on_with_what_is_stored_and_trains_nothing_twice(swept: SweepResult) -> None:
    files = SweepDir(swept.sweep)
    logs = {number: files.log(files.trial(number)).read_text() for number in range(5)}
    more = CliRunner().invoke(app, ["sweep", "--sweep", swept.sweep, "--trials", "6", "--json"])
    assert more.exit_code == 0, more.stderr
    told = {trial["number"]: trial for trial in json.loads(more.stdout)["trials"]}
    assert sorted(told) == list(range(6))
    for trial in swept.trials:
        assert told[trial.number]["settings"] == trial.settings
        assert files.log(files.trial(trial.number)).read_text() == logs[trial.number]


CONTRADICTIONS: list[tuple[dict[str, Any], str]] = [
    ({"search": "lr=1e-3..1:log"}, "--search lr=0.001..1.0:log (sweep: 0.001..0.1:log)"),
    ({"search": "lr=1e-3..1e-1:log"}, "--search optimizer=nothing (sweep: sgdw|adamw)"),
    ({"epochs": 9}, "--epochs 9 (sweep: 4)"),
    ({"model": "resnet20"}, "--model resnet20 (sweep: eva)"),
    ({"val_split": 0.5}, "--val-split 0.5 (sweep: 0.1)"),
    ({"prune": "none"}, "--prune none (sweep: median)"),
]


@pytest.mark.parametrize(("other", "said"), CONTRADICTIONS, ids=[said for _, said in CONTRADICTIONS])
def test_a_sweep_that_was_begun_with_something_else_is_refused(
    swept: SweepResult, other: dict[str, Any], said: str
) -> None:
    with pytest.raises(Contradiction) as refused:
        evacli.sweep(swept.sweep, **other)
    assert said in refused.value.message
    assert "name a new --sweep" in refused.value.fix


REFUSED: list[tuple[dict[str, Any], type[EvacliError], str]] = [
    ({}, ConfigError, "nothing is searched"),
    ({"search": "lr=0.1..1", "lr": 0.1}, ConfigError, "--lr 0.1 says what --search lr is to find"),
    ({"search": "lr=0.1..1", "data": "nowhere"}, DataError, "--data nowhere: there is no such file or folder"),
    ({"search": "lr=0.1..1", "model": "evaa"}, EvacliError, "--model evaa: there is no such network"),
    ({"search": "momentum=0.1..0.5", "optimizer": "lionn"}, ConfigError, "--optimizer lionn: there is no such choice"),
    ({"search": "lr=0.1..1", "jobs": 0}, ConfigError, "--jobs 0: must be at least 1"),
    ({"search": "lr=0.1..1", "prune": "mean"}, ConfigError, "--prune mean: there is no such choice"),
    ({"search": "warmup_epochs=20..30", "epochs": 9}, ConfigError, "--warmup-epochs 20 is more than --epochs 9"),
]


@pytest.mark.parametrize(("given", "kind", "said"), REFUSED, ids=[said for _, _, said in REFUSED])
def test_what_cannot_be_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], kind: type[EvacliError], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(kind) as refused:
        evacli.sweep("new", **given)
    assert said in refused.value.message
    assert list(tmp_path.iterdir()) == []


def test_what_is_searched_takes_the_place_of_a_recipe(tmp_path: Path) -> None:
    files, recipe = SweepDir(tmp_path), evacli.recipe("fast")
    begun = plan.settle(files, "lr=1e-3..1e-1:log,optimizer=muon|sgdw", {"epochs": 2}, recipe)
    expected = {name: value for name, value in recipe.items() if name not in ("lr", "optimizer")}
    assert begun.settings == {**expected, "epochs": 2, "val_split": 0.1}
    plan.write(files, begun)
    assert plan.settle(files, None, {"epochs": 2}, recipe) == begun
    assert begun.of_trial({"optimizer": "muon"})["momentum"] == recipe["momentum"]
    assert begun.on_all_images({"lr": 0.1})["test_every"] == 2


@pytest.mark.parametrize("where", ["settings", "search"])
def test_a_network_file_that_only_the_sweep_of_a_stranger_names_does_not_run(tmp_path: Path, where: str) -> None:
    model = tmp_path / "theirs.py"
    model.write_text("1 / 0")
    files = SweepDir(tmp_path / "theirs")
    files.create()
    search, settings = {"lr": "0.1|0.2"}, {"val_split": 0.1}
    if where == "settings":
        settings["model"] = f"{model}:build"
    else:
        search["model"] = f"eva|{model}:build"
    plan.write(files, plan.Plan(search=search, settings=settings))
    with pytest.raises(ModelError, match=r"asks to run .*theirs\.py:build, a file that you have not named"):
        evacli.sweep(files.path)
    assert not files.journal.exists()


def test_a_run_is_no_sweep(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(EvacliError, match="is a run, not a sweep"):
        evacli.sweep(tmp_path, search=SEARCH)


def test_without_optuna_a_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "installed", lambda _: False)
    with pytest.raises(ConfigError, match="needs optuna, which is not installed") as refused:
        evacli.sweep(tmp_path / "new", search=SEARCH)
    assert refused.value.fix == "Run: pip install 'evacli[sweep]'"


def test_what_promises_nothing_is_stopped_and_can_be_trained_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether a trial is below the median of the others shows in its first epoch: its rate decides it."""
    monkeypatch.setenv("FAKE_SECONDS", "0.2")
    found = evacli.sweep(tmp_path / "new", search="lr=1e-3..1e-1:log", trials=9, **SHARED)
    by_number = sorted(found.trials, key=lambda trial: trial.number)
    for trial in by_number:
        before = [t.val_accuracy for t in by_number[: trial.number] if t.state == "finished"]
        low = len(before) >= 5 and trial.val_accuracy < statistics.median(
            accuracy(t.settings["lr"], trial.epochs) for t in by_number[: trial.number] if t.state == "finished"
        )
        assert trial.state == ("pruned" if low else "finished")
        assert (trial.epochs < EPOCHS) == low
    assert found.count("pruned") > 0


def test_a_trial_that_ends_another_epoch_before_it_stops_stays_pruned(tmp_path: Path) -> None:
    """A rule may think better of it: hyperband asks in some epochs only."""
    trials, display = Mock(), Mock()
    trials.promises_nothing.side_effect = [False, True, False]
    trials.all.return_value = []
    settings = {"epochs": 9, "val_split": 0.1}
    work = TrialWork(SweepDir(tmp_path), plan.Plan(search={"lr": "1|2"}, settings=settings), trials, display)
    job = TrialJob(work, Mock(number=0, drawn={}), settings)
    rows = make_rows(4, validated=True)
    assert [job.goes_on(rows[:epoch]) for epoch in (1, 2, 3)] == [True, False, False]
    assert [call.args[1] for call in trials.report.call_args_list][-1] == 3
    job.is_over(Mock(), rows[:3])
    trials.prune.assert_called_once()
    trials.fail.assert_not_called()


def test_a_trial_that_diverges_is_told_and_the_sweep_goes_on(tmp_path: Path) -> None:
    done = CliRunner().invoke(
        app,
        ["sweep", "--sweep", str(tmp_path / "new"), "--search", "lr=0.01|0.9", "--trials", "3", "--epochs", "2"],
    )
    assert done.exit_code == 0, done.stderr
    found = evacli.sweep(tmp_path / "new")
    for trial in found.trials:
        assert trial.state == ("diverged" if trial.settings["lr"] == 0.9 else "finished")
    assert found.count("diverged") > 0
    assert shlex.split(found.command) == shlex.split(done.stdout.split("images:\n")[1].split("\nTo train")[0])
    table = [line for line in done.stdout.splitlines() if line.startswith(("│", "┃"))]
    told = done.stderr.splitlines()[1:]
    assert len(told) == len(table) == 4
    assert max(map(len, (*table, *told))) <= 80


def test_a_sweep_of_which_nothing_can_be_trained_ends_with_the_words_of_its_trials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "TRAIN", (sys.executable, "-c", "import sys; sys.exit('error: No such thing.')"))
    with pytest.raises(EvacliError, match=r"3 trials failed and none was trained. The last one said: No such thing\."):
        evacli.sweep(tmp_path / "new", search=SEARCH, **SHARED)


def test_test_images_are_no_judges(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="only test images could judge the trials"):
        evacli.sweep(tmp_path / "new", search=SEARCH, **SHARED, val_split=0)


def test_what_goes_wrong_while_it_stops_leaves_no_training_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training may end another epoch, of which the same is to be said, before it heeds that it should stop."""
    monkeypatch.setattr("evacli.sweeping.driver.PAUSE", 0)
    working = Driver(SweepDir(tmp_path), 1, Mock())
    (slot,) = working._slots
    slot.job, slot.training = Mock(run=RunDir(tmp_path)), Mock()
    slot.job.goes_on.side_effect = ConfigError("No such thing.")
    slot.training.rows.side_effect = [make_rows(1), make_rows(2), make_rows(2)]
    type(slot.training).code = PropertyMock(side_effect=[None, None, 0, 0])
    job, process = slot.job, slot.training
    with pytest.raises(ConfigError):
        working._look_at_all()
    working._stop()
    assert process.stop.called
    assert slot.training is None
    job.is_over.assert_called_once()


def test_what_the_end_of_one_training_makes_known_does_not_leave_another_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the third trial in a row has failed while the sweep stops."""
    monkeypatch.setattr("evacli.sweeping.driver.PAUSE", 0)
    working = Driver(SweepDir(tmp_path), 2, Mock())
    jobs = [Mock(run=RunDir(tmp_path / str(number))) for number in range(2)]
    jobs[0].is_over.side_effect = EvacliError("3 trials failed and none was trained.")
    for slot, job, codes in zip(working._slots, jobs, ([1, 1], [None, 0, 0]), strict=True):
        slot.job, slot.training = job, Mock(**{"rows.return_value": []})
        type(slot.training).code = PropertyMock(side_effect=codes)
    working._stop()
    for job in jobs:
        job.is_over.assert_called_once()


def begun(process: "subprocess.Popen[str]", until: Callable[[], Any]) -> None:
    end = time.monotonic() + 120
    while not until():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end
        time.sleep(0.02)


def test_asked_to_stop_a_sweep_saves_everything_and_says_how_to_go_on(tmp_path: Path) -> None:
    arguments = ("--sweep", "my sweep", "--search", SEARCH, "--trials", 2, "--jobs", 2, "--epochs", 8)
    first = driver(arguments, fake=True, cwd=tmp_path, environment={"FAKE_SECONDS": "0.5"})
    files = SweepDir(tmp_path / "my sweep")
    begun(first, lambda: all(files.trial(number).history.exists() for number in range(2)))
    first.send_signal(signal.SIGINT)
    said = first.communicate()[1].splitlines()
    assert first.returncode == 128 + signal.SIGINT
    assert said[-1] == "stopped: my sweep has everything saved. Go on: evacli sweep --sweep 'my sweep'"
    assert sweep_torture.at_work(files) == []
    done = [len(files.trial(number).history.read_text().splitlines()) - 1 for number in range(2)]
    assert 0 < min(done) <= max(done) < 8
    found = evacli.sweep(files.path)
    assert found.count("finished") == 2
    assert sweep_torture.losses(files, 2, 8, msgspec.to_builtins(found)) == []


def test_two_drivers_share_the_work_and_no_kill_loses_or_doubles_a_trial(tmp_path: Path) -> None:
    killed, _, wrong = torture(tmp_path, ("--dataset", "digits"), fake=True, kills=4, trials=6, epochs=5, seed=1)
    assert wrong == []
    assert killed.total() == 4
    assert min(killed.values()) > 0


def test_a_trial_that_a_killed_driver_has_left_in_training_is_waited_for(tmp_path: Path) -> None:
    arguments = ("--sweep", "new", "--search", SEARCH, "--trials", 1, "--epochs", 6)
    first = driver(arguments, fake=True, cwd=tmp_path, environment={"FAKE_SECONDS": "0.4"})
    files = SweepDir(tmp_path / "new")
    begun(first, lambda: files.trial(0).history.exists())
    first.kill()
    first.communicate()
    with pytest.raises(EvacliError, match="in use"):
        locking.refuse_if_busy(files.trial(0))
    found = evacli.sweep(files.path)
    assert found.count("finished") == 1
    assert files.log(files.trial(0)).read_text().count("\n") == 6


def test_half_a_line_at_the_end_of_the_journal_is_no_loss(swept: SweepResult) -> None:
    with SweepDir(swept.sweep).journal.open("a") as file:
        file.write('{"op_code":')
    again = evacli.sweep(swept.sweep)
    assert {trial.number: trial.settings for trial in again.trials}.items() >= {
        trial.number: trial.settings for trial in swept.trials
    }.items()


def test_settings_become_the_options_that_mean_them() -> None:
    given = {"lr": 0.1, "flip": False, "tta": True, "spatial_dropout": False, "cutout": None, "data": "-a b"}
    assert options(given) == ["--lr", "0.1", "--no-flip", "--tta", "--data=-a b"]
    assert command("runs/a b", {"crop": 4}) == "evacli train --run 'runs/a b' --crop 4"


def test_a_command_line_in_several_lines_is_one_to_a_shell() -> None:
    whole = command("runs/a b", dict.fromkeys(("data", "model", "freeze_until", "weights"), "x" * 9 + " y"))
    lines = folded(whole)
    assert max(map(len, lines.splitlines())) <= 80
    assert lines.count("\n") > 0
    printed = subprocess.run(
        ["bash", "-c", f"printf '%s\n' {lines}"], capture_output=True, text=True, check=True
    ).stdout
    assert printed.splitlines() == shlex.split(whole)


def test_each_training_has_a_gpu_or_its_part_of_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    monkeypatch.setattr(training, "_usable_cores", lambda: 8)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert environments(1) == [{}]
    assert environments(3) == [{"TF_NUM_INTRAOP_THREADS": "2"}] * 3
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "5")
    assert environments(2) == [{}, {}]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    assert [each["CUDA_VISIBLE_DEVICES"] for each in environments(3)] == ["2", "5", "2"]
    assert [len(each) for each in environments(2)] == [1, 1]  # none has to share
