"""What a sweep says."""

from typing import Any, Literal

import msgspec

from evacli.notebook import Displayed

FEW = 40  # finished trials, below which the best quarter has fewer than ten
State = Literal["finished", "pruned", "diverged", "failed", "under way"]


class TrialResult(msgspec.Struct, frozen=True, kw_only=True):
    """One trial. Accuracies are shares of 1.

    Attributes:
        number: of the trial, from 0 in the order in which they were begun.
        run: its run directory.
        state: "pruned": stopped because it promised nothing; "diverged": its loss was not finite any more; "failed": it
            could not be trained, or was killed.
        settings: those that were drawn for it.
        val_accuracy: the highest accuracy on the validation images; None before an epoch was tested.
        val_epoch: the epoch of that, counted from 1; 0 if there is none.
        curve: the validation accuracy by epoch, for those that were tested.
        why: what is said of a failure.
    """

    number: int
    run: str
    state: State
    settings: dict[str, Any]
    val_accuracy: float | None
    val_epoch: int
    curve: dict[int, float]
    why: str = ""

    @property
    def epochs(self) -> int:
        """How far it came, as far as it was tested."""
        return max(self.curve, default=0)


class Repeated(msgspec.Struct, frozen=True, kw_only=True):
    """The best settings, trained with other seeds on all training images; the one thing that is tested.

    Attributes:
        runs: the run directories.
        seeds: of each.
        test_accuracies: of each, a share of 1.
        test_accuracy: their mean.
        deviation: their standard deviation, of a sample; None for a single one.
        chosen_by: of which epoch, in words: after the last, or the one that validation chose.
    """

    runs: list[str]
    seeds: list[int]
    test_accuracies: list[float]
    test_accuracy: float
    deviation: float | None
    chosen_by: str


class SweepResult(Displayed, frozen=True, kw_only=True):
    """The trials of a sweep, and what follows from them.

    Attributes:
        sweep: its folder.
        trials: the best first; those that did not come to their end after those that did.
        best: the number of the best one that came to its end; None if none did.
        epochs: how many each was to have.
        search: what was searched, by setting, as it is spelled.
        settings: what all trials share.
        importance: how much each setting has to do with which trials are among the best, parts of 1.
        command: the command line that trains with the best settings; empty without any.
        train_on: the command line that trains the best trial on, to twice its epochs.
        repeated: what the best settings come to on the test images, if that was asked.
        table: where the figures of all trials are.
        page: where all of it is.
    """

    sweep: str
    trials: list[TrialResult]
    best: int | None
    epochs: int
    search: dict[str, str]
    settings: dict[str, Any]
    importance: dict[str, float]
    command: str
    train_on: str
    repeated: Repeated | None
    table: str
    page: str

    @property
    def winner(self) -> TrialResult | None:
        """The best trial."""
        return next((trial for trial in self.trials if trial.number == self.best), None)

    @property
    def tells_little(self) -> bool:
        """Whether so few trials have come to their end that what seems to matter is mostly chance."""
        return self.count("finished") < FEW

    def count(self, state: State) -> int:
        """Return how many trials ended so."""
        return sum(trial.state == state for trial in self.trials)
