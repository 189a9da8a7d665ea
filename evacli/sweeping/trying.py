"""The trials as work for a driver: each is judged by what it says of the validation images, and stopped in time."""

from collections.abc import Mapping
from typing import Any

from evacli.errors import ConfigError, EvacliError
from evacli.formats import counted
from evacli.run import history
from evacli.run.history import Row
from evacli.sweeping.display import SweepDisplay
from evacli.sweeping.files import SweepDir
from evacli.sweeping.plan import Plan
from evacli.sweeping.training import Training, has_diverged, is_finished
from evacli.sweeping.trials import DIVERGED, Claim, Trials

HOPELESS = 3  # trials that fail, none of any success beside them, before the sweep gives up


class TrialWork:
    """The trials that there are to be."""

    def __init__(self, files: SweepDir, plan: Plan, trials: Trials, display: SweepDisplay) -> None:
        self.files, self.plan, self.trials, self._display = files, plan, trials, display
        self.epochs = plan.config.epochs
        self._failures, self.has_trained = 0, False

    @property
    def is_done(self) -> bool:
        """Whether all have come to an end."""
        return self.trials.are_over

    def next(self) -> "TrialJob | None":
        """Return a trial that has been left alone, else a new one."""
        while claim := self.trials.take():
            try:
                return TrialJob(self, claim, self.plan.of_trial(claim.drawn))
            except ConfigError as e:  # its settings do not go together, as a rate below its base
                self.fail(claim, f"{e.message} {e.fix}".strip(), [])
        return None

    def fail(self, claim: Claim, why: str, rows: list[Row]) -> None:
        """Count a trial as failed.

        Raises:
            EvacliError: if nothing but failures has been seen.
        """
        self.trials.fail(claim, why)
        self.tell(claim, "failed", rows)
        self._failures += 1
        if self._failures >= min(HOPELESS, self.plan.trials) and not self.has_trained:
            raise EvacliError(
                f"{counted(self._failures, 'trial')} failed and none was trained. The last one said: {why}",
                f"Mend that, and go on: evacli sweep{self.files.option}",
            )

    def tell(self, claim: Claim, state: str, rows: list[Row]) -> None:
        """Show that a trial is over."""
        over = sum(trial.state.is_finished() for trial in self.trials.all())
        self._display.is_over(claim.number, state, rows, claim.drawn, over)


class TrialJob:
    """One trial."""

    def __init__(self, work: TrialWork, claim: Claim, settings: Mapping[str, Any]) -> None:
        self._work, self._claim = work, claim
        self.run, self.settings = work.files.trial(claim.number), settings
        self.drawn: Mapping[str, Any] = claim.drawn
        self._is_pruned = False

    def goes_on(self, rows: list[Row]) -> bool:
        """Report the epochs, and tell whether the trial still promises something."""
        self._work.has_trained = True
        for row in rows:
            if row.val_accuracy is not None:
                self._work.trials.report(self._claim, row.epoch, row.val_accuracy)
            elif row.test_accuracy is not None:
                raise ConfigError(
                    "--val-split 0, and the data has no validation images: only test images could judge the trials.",
                    "Name a new --sweep, with --val-split 0.1.",
                )
        if len(rows) < self._work.epochs and not self._is_pruned:  # it may end one more before it heeds that
            self._is_pruned = self._work.trials.promises_nothing(self._claim)
        return not self._is_pruned

    def is_over(self, training: Training, rows: list[Row]) -> None:
        """Count the trial by how it ended."""
        trials, claim, top = self._work.trials, self._claim, history.best(rows)
        if is_finished(self.run, self._work.epochs) and top and top.val_accuracy is not None:
            trials.finish(claim, top.val_accuracy)
            state = "finished"
        elif self._is_pruned:
            trials.prune(claim)
            state = "pruned"
        elif has_diverged(self.run):
            trials.prune(claim, DIVERGED)
            state = "diverged"
        else:
            self._work.fail(claim, training.why, rows)
            return
        self._work.tell(claim, state, rows)

    def leave(self) -> None:
        """Leave the trial to whoever takes it next."""
        self._work.trials.leave(self._claim)
