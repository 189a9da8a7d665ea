"""Keeps so many trainings going at a time: begins them, looks after them, and stops them when it is asked to stop."""

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Protocol

from evacli.errors import EvacliError, Interrupted, RunBusy
from evacli.run.directory import RunDir
from evacli.run.history import Row
from evacli.run.locking import refuse_if_busy
from evacli.sweeping.display import SweepDisplay
from evacli.sweeping.files import SweepDir
from evacli.sweeping.training import STOPPED, Training, environments
from evacli.training.signals import StopRequest

PAUSE = 0.3  # seconds between two looks
# A machine that is shut down tells everybody at once, and a training may be the first to heed it.
GRACE = 1.0


class Job(Protocol):
    """A training that is to be made, held by this driver.

    Attributes:
        run: its run directory.
        settings: what it is trained with.
        drawn: those of them that other jobs have not.
    """

    run: RunDir
    settings: Mapping[str, Any]
    drawn: Mapping[str, Any]

    def goes_on(self, rows: list[Row]) -> bool:
        """Take note of a new epoch, and tell whether the training should go on."""

    def is_over(self, training: Training, rows: list[Row]) -> None:
        """Take note of the end of the training, other than by `leave`."""

    def leave(self) -> None:
        """Leave the run to others, as it is."""


class Work(Protocol):
    """Where jobs come from."""

    def next(self) -> Job | None:
        """Return a job that nobody is at; None if there is none at the moment."""

    @property
    def is_done(self) -> bool:
        """Whether there will be no more, here or with other drivers."""


class _Slot:
    """A place for one training at a time."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = environment
        self.job: Job | None = None
        self.training: Training | None = None
        self.seen, self.unwanted = 0, False


class Driver:
    """Works for a sweep."""

    def __init__(self, files: SweepDir, jobs: int, display: SweepDisplay) -> None:
        self._files, self._display, self._stopping = files, display, False
        self._slots = [_Slot(environment) for environment in environments(jobs)]

    def work(self, work: Work) -> None:
        """Do all the work there is; for what other drivers are at, wait.

        Raises:
            Interrupted: after Ctrl-C, SIGTERM or the end of the terminal, once all trainings have saved and stopped.
        """
        with StopRequest() as self._request:
            try:
                while not (work.is_done and self._is_idle):
                    self._look_at_all()
                    self._begin_what_there_is(work)
                    time.sleep(PAUSE)
                    if self._request.signum is not None:
                        raise Interrupted(
                            self._request.signum,
                            f"{self._files.path} has everything saved.",
                            f"Go on: evacli sweep{self._files.option}",
                        )
            finally:
                self._stop()

    @property
    def _is_idle(self) -> bool:
        return all(slot.job is None for slot in self._slots)

    def _stop(self) -> None:
        self._stopping = True
        while not self._is_idle:
            for slot in self._slots:
                if slot.training:
                    slot.training.stop()
            # Why it stops is being told; what else is wrong by then must leave no training behind.
            with suppress(EvacliError):
                self._look_at_all()
            time.sleep(PAUSE)
        self._stopping = False

    def _begin_what_there_is(self, work: Work) -> None:
        for slot in self._slots:
            if slot.job or not (job := work.next()):
                continue
            slot.training = Training(job.run, job.settings, self._files.log(job.run), slot.environment)
            slot.job, slot.seen, slot.unwanted = job, 0, False
            self._display.begins(job.run.path.name, job.drawn)

    def _look_at_all(self) -> None:
        for slot in self._slots:
            if slot.job and slot.training:
                self._look(slot, slot.job, slot.training)

    def _look(self, slot: _Slot, job: Job, training: Training) -> None:
        has_ended = training.code is not None  # asked first, so that no epoch is overlooked
        rows = training.rows()
        if len(rows) > slot.seen:
            slot.seen = len(rows)
            self._display.goes_on(job.run.path.name, rows)
            slot.unwanted |= not job.goes_on(rows)
        if has_ended:
            slot.job = slot.training = None
            self._display.leaves(job.run.path.name)
            self._end(job, training, rows, unwanted=slot.unwanted)
        elif slot.unwanted:
            training.stop()

    def _end(self, job: Job, training: Training, rows: list[Row], *, unwanted: bool) -> None:
        stopped = training.code in STOPPED and not unwanted
        if stopped and not self._stopping:
            time.sleep(GRACE)
        asked = self._stopping or self._request.signum is not None
        if (stopped and asked) or _is_busy(job.run):
            job.leave()
        else:
            job.is_over(training, rows)


def _is_busy(run: RunDir) -> bool:
    """Whether another training has the run: one that a driver that was killed had just begun."""
    try:
        refuse_if_busy(run)
    except RunBusy:
        return True
    return False
