"""The best settings once more, with other seeds and on all training images: what they come to on the test images."""

import statistics
from collections.abc import Mapping
from typing import Any

from filelock import FileLock

from evacli.errors import RunError
from evacli.run import summary
from evacli.run.directory import RunDir
from evacli.run.history import Row
from evacli.sweeping.files import SweepDir
from evacli.sweeping.plan import Plan
from evacli.sweeping.result import Repeated, TrialResult
from evacli.sweeping.training import Training, is_finished
from evacli.sweeping.trials import Trials


class RepeatWork:
    """A training of the best settings for each of some seeds that chose nothing."""

    def __init__(self, files: SweepDir, plan: Plan, trials: Trials, best: TrialResult, count: int) -> None:
        self.files, self._trials = files, trials
        self.epochs, self._settings = plan.config.epochs, plan.on_all_images(best.settings)
        self.seeds = [plan.config.seed + 1 + number for number in range(count)]
        self.runs = {seed: files.repeated(best.number, seed) for seed in self.seeds}

    @property
    def is_done(self) -> bool:
        """Whether all have come to their end."""
        return not self._missing

    @property
    def _missing(self) -> list[int]:
        return [seed for seed, run in self.runs.items() if not is_finished(run, self.epochs)]

    def next(self) -> "RepeatJob | None":
        """Return one that nobody is at."""
        for seed in self._missing:
            if lock := self._trials.hold(self.runs[seed]):
                return RepeatJob(self, seed, self._settings, lock)
        return None

    def result(self) -> Repeated:
        """Return what they came to."""
        found = [summary.read(run) for run in self.runs.values()]
        accuracies = [each.test_accuracy for each in found]
        when = "after the last epoch" if found[0].tested_once else f"in the epoch chosen by {found[0].chosen_by}"
        return Repeated(
            runs=[str(run.path) for run in self.runs.values()],
            seeds=self.seeds,
            test_accuracies=accuracies,
            test_accuracy=statistics.fmean(accuracies),
            deviation=statistics.stdev(accuracies) if len(accuracies) > 1 else None,
            chosen_by=when,
        )


class RepeatJob:
    """One of them."""

    def __init__(self, work: RepeatWork, seed: int, settings: Mapping[str, Any], lock: FileLock) -> None:
        self._work, self._lock = work, lock
        self.run: RunDir = work.runs[seed]
        self.drawn: Mapping[str, Any] = {"seed": seed}
        self.settings: Mapping[str, Any] = {**settings, **self.drawn}

    def goes_on(self, rows: list[Row]) -> bool:
        """Go on in any case."""
        return True

    def is_over(self, training: Training, rows: list[Row]) -> None:
        """Let the run be.

        Raises:
            RunError: if it has not come to its end; without it there is no mean.
        """
        self.leave()
        if not is_finished(self.run, self._work.epochs):
            raise RunError(
                f"{self.run.path} did not come to its end: {training.why}",
                f"Try again: evacli sweep{self._work.files.option} --seeds {len(self._work.seeds)}",
            )

    def leave(self) -> None:
        """Leave the run to whoever takes it next."""
        self._lock.release()
