"""Two processes that train together, on the loopback address."""

import json
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from evacli_processes import Evacli, Running
from run_state import state
from tiny_data import TINY, write_digits

from evacli import workers
from evacli.errors import ConfigError
from evacli.run import checkpoint
from evacli.run.directory import RunDir

SETTINGS = ("--model", TINY, "--batch-size", 32, "--precision", "float32", "--lr", 0.1)


def pair(evacli: Evacli, *arguments: object, others: Sequence[object] = ()) -> list[Running]:
    """A chief and a worker of one training; the worker is told `others` as well."""
    addresses = workers._free_addresses(2)
    started = []
    for index in range(2):
        told = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        more = others if index else ()
        started.append(evacli.start("train", *arguments, *more, environment={"TF_CONFIG": json.dumps(told)}))
    return started


def told(text: str) -> str:
    return " ".join(text.split())


def steps(run: Path) -> int:
    found = checkpoint.load_progress(RunDir(run))
    return 0 if found is None else 7 * len(found.rows) + found.batch


@pytest.fixture(scope="module")
def arguments(tmp_path_factory: pytest.TempPathFactory) -> tuple[object, ...]:
    return ("--data", write_digits(tmp_path_factory.mktemp("data") / "digits.npz"), *SETTINGS, "--epochs", 3)


@pytest.fixture(scope="module")
def undisturbed(evacli: Evacli, arguments: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of both."""
    run = tmp_path_factory.mktemp("run") / "run"
    chief, worker = pair(evacli, *arguments, "--run", run)
    ended, other = chief.wait(), worker.wait()
    assert (ended.code, other.code) == (0, 0), ended.err + other.err
    assert "It computes on 2 x CPU." in ended.err
    assert "Process 2 of 2; the first one tells how the training goes." in other.err
    assert "Peak learning rate" not in other.err
    return run


@pytest.mark.tensorflow
@pytest.mark.long
def test_one_that_waits_for_the_others_in_vain_can_be_stopped(evacli: Evacli, arguments: Any, tmp_path: Path) -> None:
    told = {"cluster": {"worker": workers._free_addresses(2)}, "task": {"type": "worker", "index": 0}}
    run = tmp_path / "run"
    alone = evacli.start("train", *arguments, "--run", run, environment={"TF_CONFIG": json.dumps(told)})
    time.sleep(20)  # until it waits; if it does not yet, it ends as well
    alone.send(signal.SIGTERM)
    assert alone.wait().code != 0
    assert not run.exists()


@pytest.mark.tensorflow
@pytest.mark.long
def test_the_launcher_starts_two_of_which_one_shows(evacli: Evacli, arguments: Any, tmp_path: Path) -> None:
    ended = evacli("train", *arguments, "--epochs", 1, "--workers", 2, "--run", tmp_path)
    assert ended.code == 0, ended.err
    assert ended.out.count("Top accuracy") == 1
    assert ended.err.count("Peak learning rate") == 1


@pytest.mark.tensorflow
@pytest.mark.slow
def test_a_chief_that_finds_the_run_finished_tells_the_others(
    evacli: Evacli, undisturbed: Path, arguments: Any
) -> None:
    chief, worker = pair(evacli, *arguments, "--run", undisturbed)
    ended, other = chief.wait(), worker.wait()
    assert ended.code == other.code == 0, ended.err + other.err
    assert "already has its 3 epochs" in told(ended.err)
    assert other.out == ""


@pytest.mark.tensorflow
@pytest.mark.slow
@pytest.mark.parametrize("victim", [1, pytest.param(0, marks=pytest.mark.long)])
def test_the_others_of_a_killed_process_end_and_the_pair_goes_on_exactly(
    victim: int, evacli: Evacli, undisturbed: Path, arguments: Any, tmp_path: Path
) -> None:
    everything = (*arguments, "--run", tmp_path, "--checkpoint-minutes", 0)
    both = pair(evacli, *everything)
    both[0].until(lambda: steps(tmp_path) > 8, patience=600)
    both[victim].kill()
    left = both[1 - victim]
    ended = left.wait()
    assert ended.code == 1, ended.err
    assert "Another process of this training is gone; the last checkpoint is kept." in told(ended.err)
    assert "Traceback" not in ended.err
    assert steps(tmp_path) < 21
    chief, worker = pair(evacli, *everything)
    assert (chief.wait().code, worker.wait().code) == (0, 0), chief.err + worker.err
    assert state(tmp_path) == state(undisturbed)


@pytest.mark.tensorflow
@pytest.mark.slow
def test_a_signal_to_any_stops_all_at_one_step_and_one_device_goes_on(
    evacli: Evacli, arguments: Any, tmp_path: Path
) -> None:
    chief, worker = pair(evacli, *arguments, "--run", tmp_path, "--checkpoint-minutes", 0)
    chief.until(lambda: steps(tmp_path) > 3, patience=600)
    worker.send(signal.SIGTERM)
    ended, other = chief.wait(), worker.wait()
    assert ended.code == other.code == 128 + signal.SIGTERM, ended.err + other.err
    assert f"SIGTERM after {steps(tmp_path)} steps; everything is saved." in told(ended.err)
    assert f"SIGTERM after {steps(tmp_path)} steps" in told(other.err)
    alone = evacli("train", "--run", tmp_path)
    assert alone.code == 0, alone.err
    assert "device 2 x CPU -> CPU" in told(alone.err)


@pytest.mark.tensorflow
@pytest.mark.slow
@pytest.mark.parametrize("differs", ["settings", pytest.param("data", marks=pytest.mark.long)])
def test_who_has_something_else_is_refused_with_the_difference(
    differs: str, evacli: Evacli, arguments: Any, tmp_path: Path
) -> None:
    other = {"settings": ("--lr", 0.05), "data": ("--data", _other(tmp_path))}[differs]
    said = {"settings": "--lr 0.05 (run: 0.1)", "data": "digest of the data"}[differs]
    chief, worker = pair(evacli, *arguments, "--run", tmp_path / "run", others=other)
    for ended in (chief.wait(), worker.wait()):
        assert ended.code == 1, ended.err
        assert "cannot take part" in told(ended.err)
        assert said in told(ended.err)
    assert not (tmp_path / "run").exists()


def _other(folder: Path) -> Path:
    import numpy as np

    path = write_digits(folder / "digits.npz")
    with np.load(path) as stored:
        arrays = dict(stored)
    arrays["x_train"][0] ^= 1
    np.savez(path, **arrays)
    return path


def test_what_tells_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = {"chief": ["a:1"], "worker": ["b:1", "c:1"]}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": {"type": "worker", "index": 1}}))
    assert workers.place() == workers.Place(2, 3)
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": {"type": "chief", "index": 0}}))
    assert workers.place() == workers.Place(0, 3)
    monkeypatch.setenv(
        "TF_CONFIG", json.dumps({"cluster": {"worker": ["b:1"]}, "task": {"type": "worker", "index": 0}})
    )
    assert workers.place() is None
    monkeypatch.delenv("TF_CONFIG")
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "4")
    monkeypatch.setenv("SLURM_PROCID", "3")
    assert workers.place() == workers.Place(3, 4)


@pytest.mark.parametrize(
    "text", ["no json", "{}", '{"cluster": {"worker": ["a:1"]}, "task": {"type": "ps", "index": 0}}']
)
def test_a_garbled_tf_config_is_one_line(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ConfigError, match="TF_CONFIG"):
        workers.place()
