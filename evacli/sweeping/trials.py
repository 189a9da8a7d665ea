"""The trials of a sweep, which all its drivers share: what to try next, what is over, what promises nothing.

Optuna keeps them in a journal, one file that only ever grows. What is decided from it, such as that nobody is at a
trial, is decided under the lock of the sweep; a driver holds a lock for each trial that it looks after. The system lets
go of both however a driver ends.
"""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from filelock import FileLock, Timeout
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.samplers import TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from evacli.errors import RunBusy, RunError
from evacli.run.directory import RunDir
from evacli.run.locking import refuse_if_busy
from evacli.sweeping import search
from evacli.sweeping.files import SweepDir
from evacli.sweeping.plan import Plan

NAME = "sweep"
WHY, DIVERGED = "why", "diverged"
BEST = 0.25  # share of the trials that importance looks at
UNTRIED = 5  # that come to their end before the median of them says something


class Claim:
    """A trial that this driver looks after, until it is released.

    Attributes:
        number: of the trial.
        drawn: the settings that were drawn for it.
    """

    def __init__(self, trial: optuna.trial.Trial, drawn: dict[str, Any], lock: FileLock) -> None:
        self.number, self.drawn = trial.number, drawn
        self.trial, self._lock = trial, lock

    def release(self) -> None:
        """Let others have it."""
        self._lock.release()


class Trials:
    """The trials of a sweep, as its journal has them."""

    def __init__(self, files: SweepDir, plan: Plan) -> None:
        """Open the journal, or begin it.

        Raises:
            RunError: if the file system refuses, or the file is no such journal.
        """
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._files, self._plan, self._space, self._config = files, plan, plan.space, plan.config
        self._lock = FileLock(files.lock)
        self._mine: set[int] = set()
        try:
            with self._lock, _quiet():
                _drop_half_a_line(files.journal)
                # A lock of its own would stay behind when a driver is killed.
                storage = JournalStorage(JournalFileBackend(str(files.journal), lock_obj=self._lock))
                self.study = optuna.create_study(
                    study_name=NAME,
                    storage=storage,
                    direction="maximize",
                    load_if_exists=True,
                    pruner=_pruner(plan, self._config.epochs),
                )
        except (OSError, ValueError, KeyError) as e:
            raise RunError(f"{files.journal} cannot be used: {e}.", "Name another --sweep.") from e

    def all(self) -> list[FrozenTrial]:
        """Return the trials so far, by number."""
        found: list[FrozenTrial] = self.study.get_trials(deepcopy=False)
        return found

    @property
    def are_over(self) -> bool:
        """Whether there are as many as planned, and all have come to an end."""
        found = self.all()
        return len(found) >= self._plan.trials and all(trial.state.is_finished() for trial in found)

    def take(self) -> Claim | None:
        """Return a trial to look after: one that has been left alone, else a new one; None if there is neither."""
        with self._lock, _quiet():
            found = self.all()
            for trial in found:
                if trial.state == TrialState.RUNNING and (claim := self._claim(trial.number)):
                    return claim
            if len(found) >= self._plan.trials:
                return None
            self._sample(len(found))
            return self._claim(self.study.ask().number)

    def _claim(self, number: int) -> Claim | None:
        lock = self.hold(self._files.trial(number)) if number not in self._mine else None
        if lock is None:
            return None
        self._mine.add(number)
        self._sample(number)
        trial = optuna.trial.Trial(self.study, self.all()[number]._trial_id)
        # What a driver that was killed has drawn already, Optuna gives again.
        return Claim(trial, search.draw(self._space, self._plan.settings, trial), lock)

    def hold(self, run: RunDir) -> FileLock | None:
        """Return a lock on a run that nobody is at, neither a driver nor a training that a killed driver has left."""
        lock = FileLock(self._files.claim(run))
        try:
            lock.acquire(timeout=0)
            refuse_if_busy(run)
        except (Timeout, RunBusy):
            lock.release()
            return None
        return lock

    def _sample(self, number: int) -> None:
        # By the trial's number, so that it does not matter which driver draws, and how often one was begun anew.
        seed = int(np.random.SeedSequence([self._config.seed, number]).generate_state(1)[0])
        self.study.sampler = TPESampler(seed=seed)

    def report(self, claim: Claim, epoch: int, accuracy: float) -> None:
        """Note the validation accuracy after an epoch, counted from 1, unless it is known."""
        if epoch not in self.all()[claim.number].intermediate_values:
            claim.trial.report(accuracy, epoch)

    def promises_nothing(self, claim: Claim) -> bool:
        """Tell whether the trial should be stopped, by what has been reported of it and of the others."""
        return bool(claim.trial.should_prune())

    def finish(self, claim: Claim, accuracy: float) -> None:
        """Count a trial that has come to its last epoch."""
        self._end(claim, TrialState.COMPLETE, accuracy)

    def prune(self, claim: Claim, why: str = "") -> None:
        """Count a trial that was stopped; what it came to still tells the next ones something."""
        self._end(claim, TrialState.PRUNED, why=why)

    def fail(self, claim: Claim, why: str) -> None:
        """Count a trial that tells nothing about its settings."""
        self._end(claim, TrialState.FAIL, why=why)

    def leave(self, claim: Claim) -> None:
        """Leave the trial to whoever takes it next."""
        self._mine.discard(claim.number)
        claim.release()

    def _end(self, claim: Claim, state: TrialState, accuracy: float | None = None, why: str = "") -> None:
        with self._lock, _quiet():
            if why:
                claim.trial.set_user_attr(WHY, why)
            self.study.tell(claim.number, accuracy, state)
        self.leave(claim)


def importance(trials: Trials) -> dict[str, float]:
    """Return how much each setting has to do with which trials are among the best, the most important first.

    By PED-ANOVA (Watanabe et al. 2023, arXiv 2304.10255): how far the values of the best quarter of the trials that
    came to their end are from those of all of these. The parts add up to 1. With few trials, that is mostly chance.
    """
    complete = [trial for trial in trials.all() if trial.state == TrialState.COMPLETE]
    if len(complete) < 2 or len({trial.value for trial in complete}) < 2:
        return {}
    with _quiet():
        try:
            return dict(
                get_param_importances(trials.study, evaluator=PedAnovaImportanceEvaluator(target_quantile=BEST))
            )
        except (ValueError, RuntimeError):  # a setting that has one value in all of them
            return {}


def _pruner(plan: Plan, epochs: int) -> BasePruner:
    if plan.prune == "median":
        return MedianPruner(n_startup_trials=UNTRIED, n_warmup_steps=-(-epochs // 4))
    if plan.prune == "hyperband":
        return HyperbandPruner(min_resource=1, max_resource=epochs, reduction_factor=3)
    return NopPruner()


def _drop_half_a_line(journal: Path) -> None:
    """Cut off what a driver that was killed, or a full disk, has left of a last line."""
    if not journal.exists():
        return
    content = journal.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(journal, whole)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Optuna's remarks on what is experimental from the user."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
