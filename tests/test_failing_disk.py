"""Every call by which a training writes fails once: nothing is lost, whichever it is."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from run_state import state
from tiny_data import TINY
from tiny_run import make_data

from evacli import config, console
from evacli.engine.base import Arrays
from evacli.errors import EvacliError
from evacli.run import array_file, checkpoint, history, summary
from evacli.run.directory import RunDir
from evacli.run.locking import exclusive
from evacli.training.learner import Learner, assemble
from evacli.training.loop import Loop
from evacli.training.start import start_or_resume


class FailingDisk:
    """Counts the calls that write, and lets the n-th one fail."""

    def __init__(self, fails: int, code: int) -> None:
        self.fails, self.code, self.calls = fails, code, 0

    def guard(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            if self.calls == self.fails:
                raise OSError(self.code, os.strerror(self.code))
            return call(*args, **kwargs)

        return guarded

    @contextmanager
    def in_place(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Path, "hardlink_to", self.guard(Path.hardlink_to))
            patch.setattr(os, "fsync", self.guard(os.fsync))
            patch.setattr(Path, "replace", self.guard(Path.replace))
            patch.setattr(Path, "write_text", self.guard(Path.write_text))
            patch.setattr(array_file, "write", self.guard(array_file.write))
            yield


@pytest.fixture(scope="module")
def learner() -> Learner:
    plain = {"model": TINY, "batch_size": 8, "precision": "float32", "lr": 0.1, "epochs": 1}
    return assemble(config.make(plain), make_data(num_train=16, num_test=8))


@pytest.fixture(scope="module")
def beginning(learner: Learner) -> Arrays:
    return learner.engine.state()


@pytest.fixture
def train(learner: Learner, beginning: Arrays) -> Callable[[RunDir], None]:
    """Trains as `evacli.train` does once it has its learner, saving after every step."""
    console.configure(quiet=True)
    weights = learner.network.get_weights()

    def run_to_end(run: RunDir) -> None:
        learner.engine.restore({group: arrays for group, arrays in beginning.items() if group != "metrics"})
        learner.network.set_weights(weights)
        with exclusive(run):
            Loop(start_or_resume(run, learner), 0.0, lambda reached: False).run()

    return run_to_end


def assert_readable(run: RunDir) -> None:
    """What is there can be read, whatever happened."""
    if run.checkpoint.exists():
        checkpoint.load(run)
    if run.history.exists():
        history.read_csv(run.history)
    if run.summary.exists():
        summary.read(run)


@pytest.mark.long
def test_whichever_write_fails_the_training_goes_on_to_the_same_bits(
    tmp_path: Path, train: Callable[[RunDir], None]
) -> None:
    whole = RunDir(tmp_path / "whole")
    train(whole)
    wanted = state(whole.path)
    for fails, code in zip(range(1, 1000), cycle((errno.ENOSPC, errno.EIO)), strict=False):
        run, disk = RunDir(tmp_path / str(fails)), FailingDisk(fails, code)
        with suppress(EvacliError), disk.in_place():
            train(run)
        if disk.calls < fails:
            break  # there are no more
        assert_readable(run)
        train(run)
        assert state(run.path) == wanted
        assert not [path.name for path in run.path.iterdir() if ".tmp" in path.name]
    else:
        pytest.fail("it never came to its end")
    assert fails > 20
