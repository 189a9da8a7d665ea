"""Trainings in processes of their own, with faults that are real."""

import re
import shutil
import signal
import time
from pathlib import Path

import pytest
from evacli_processes import Evacli, Running
from run_state import state
from tiny_data import TINY
from torture import Torturer

from evacli.run import checkpoint
from evacli.run.directory import RunDir

KILLS = 4  # `make torture` takes hundreds


@pytest.fixture(scope="module")
def options(digits: Path) -> tuple[object, ...]:
    return ("--data", digits, "--model", TINY, "--batch-size", 8, "--lr", 0.05, "--precision", "float32")


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return RunDir(tmp_path / "run")


@pytest.fixture(scope="module")
def finished(evacli: Evacli, tmp_path_factory: pytest.TempPathFactory, options: tuple[object, ...]) -> Path:
    """A run of two epochs that nobody disturbed."""
    path = tmp_path_factory.mktemp("finished") / "run"
    assert evacli("train", "--run", path, "--epochs", 2, *options).code == 0
    return path


@pytest.mark.long
def test_no_kill_loses_anything(evacli: Evacli, run: RunDir, options: tuple[object, ...]) -> None:
    tally = Torturer(evacli, run, options, seed=1).torture(KILLS)
    assert tally.losses == []
    assert tally.kills == KILLS


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_signal_saves_and_says_how_to_go_on(
    evacli: Evacli, run: RunDir, options: tuple[object, ...], signum: int, code: int
) -> None:
    process = evacli.start("train", "--run", run.path, "--epochs", 10_000, "--checkpoint-minutes", 0, *options)
    process.until(run.checkpoint.exists)
    process.send(signum)
    ended = process.wait()
    assert (ended.code, ended.out) == (code, "")
    last = ended.err.splitlines()[-1]
    name = "Ctrl-C" if signum == signal.SIGINT else signum.name
    steps = re.fullmatch(
        rf"stopped: {name} after (\d+) steps?; everything is saved\. Go on with: evacli train --run {run.path}",
        last,
    )
    progress, _ = checkpoint.load(run)
    assert int(steps[1]) == len(progress.rows) * 25 + progress.batch > 0
    assert not run.lock_owner.exists()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_signal_in_the_first_moments_leaves_without_a_traceback(
    evacli: Evacli, run: RunDir, options: tuple[object, ...], signum: int
) -> None:
    for seconds in (0.1, 0.3, 0.5):  # while modules are imported, data read and graphs traced
        process = evacli.start("train", "--run", run.path, "--epochs", 10_000, *options)
        time.sleep(seconds)
        process.send(signum)
        ended = process.wait()
        assert ended.code in (128 + signum, -signum)
        assert "Traceback" not in ended.err


def busy(evacli: Evacli, run: RunDir, *options: object) -> Running:
    """A training under way, far from its end."""
    process = evacli.start("train", "--run", run.path, "--epochs", 10_000, "--checkpoint-minutes", 0, *options)
    process.until(run.checkpoint.exists)
    return process


def test_second_training_is_refused_with_the_pid_of_the_first(
    evacli: Evacli, run: RunDir, options: tuple[object, ...]
) -> None:
    first = busy(evacli, run, *options)
    for extra in ((), ("--overwrite",)):
        second = evacli("train", "--run", run.path, *extra)
        assert second.code == 1
        assert f"is in use by process {first.pid}." in second.err
        assert second.err.count("\n") == 1
    assert run.checkpoint.exists()
    first.kill()
    third = evacli("train", "--run", run.path, "--epochs", 1)
    assert third.code == 0, third.err


def test_full_disk_names_the_file_and_keeps_the_run(evacli: Evacli, run: RunDir, finished: Path) -> None:
    shutil.copytree(finished, run.path)
    before = state(run.path)
    for limit in (2_000, 20_000):
        ended = evacli("train", "--run", run.path, "--epochs", 3, max_file_bytes=limit)
        assert ended.code == 1
        last = ended.err.splitlines()[-1]
        assert re.match(rf"error: Cannot write {run.path}/[a-z]+\.[a-z]+: File too large\.", last), ended.err
        assert "Traceback" not in ended.err
        after = state(run.path)
        assert after == before or len(after["progress"].rows) == 3
        assert list(run.path.glob(".*")) == []
    assert evacli("train", "--run", run.path, "--epochs", 3).code == 0


def test_ctrl_c_in_lr_find_is_one_line_and_leaves_nothing(
    evacli: Evacli, run: RunDir, options: tuple[object, ...]
) -> None:
    process = evacli.start("lr-find", "--run", run.path, "--steps", 100_000, *options)
    process.until(run.lock_owner.exists)
    process.send(signal.SIGINT)
    ended = process.wait()
    assert (ended.code, ended.out) == (130, "")
    assert ended.err == "stopped: Ctrl-C; no file is half written.\n"
    assert not run.path.exists()


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_gradcam_that_is_stopped_while_it_draws_leaves_no_temporary_files(
    evacli: Evacli, run: RunDir, finished: Path, signum: int, code: int
) -> None:
    shutil.copytree(finished, run.path)
    process = evacli.start("gradcam", "--run", run.path, "--n", 60)
    process.until(lambda: list(run.gradcam_folder.glob(".*")))
    process.send(signum)
    assert process.wait().code == code
    if code < 0:  # nobody could clean up: the next one does
        assert evacli("gradcam", "--run", run.path, "--n", 3).code == 0
    assert list(run.path.rglob(".*")) == []


def test_two_gradcams_at_once_leave_the_pictures_of_one(evacli: Evacli, run: RunDir, finished: Path) -> None:
    shutil.copytree(finished, run.path)
    both = [evacli.start("gradcam", "--run", run.path, "--n", n) for n in (3, 9)]
    assert [process.wait().code for process in both] == [0, 0]
    assert len(list(run.gradcam_folder.iterdir())) in (3, 9)


def test_a_damaged_checkpoint_costs_no_bits(evacli: Evacli, run: RunDir, finished: Path) -> None:
    shutil.copytree(finished, run.path)
    content = bytearray(run.checkpoint.read_bytes())
    content[len(content) // 2] ^= 1
    run.checkpoint.write_bytes(content)
    run.history.unlink()  # else the run counts as done, and nobody reads the arrays
    ended = evacli("train", "--run", run.path)  # does the last epoch again
    assert ended.code == 0, ended.err
    assert ended.err.startswith(f"warning: {run.checkpoint} is damaged")
    assert state(run.path) == state(finished)
