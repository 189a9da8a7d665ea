"""What a comparison says."""

from typing import Any

import msgspec

from evacli.notebook import Displayed
from evacli.run.summary import State


class ComparedRun(msgspec.Struct, frozen=True, kw_only=True):
    """One run; accuracies and the gap are shares of 1, losses nats; None without an epoch, or where it is not finite.

    The `final_` figures and the gap are of the last epoch; the training ones among them were measured while the network
    learnt, on images as augmentation left them, and with its dropout, where a run has any.

    Attributes:
        run: its directory.
        label: a short name that no other run of the comparison has.
        state: as in its summary.
        epochs_done: finished epochs.
        epochs: how many it is to have.
        top_accuracy: the highest accuracy on the split that chose the epoch.
        top_epoch: that epoch, counted from 1; 0 without any.
        chosen_by: that split.
        test_accuracy: of the top epoch; the top accuracy itself where the test images chose it.
        final_train_accuracy: on the training images.
        final_test_accuracy: on the test images.
        final_train_loss: on the training images.
        final_test_loss: on the test images.
        gap: final training accuracy minus final test accuracy.
        seconds: time spent training.
        images_per_second: training images over that time.
        lr: the peak learning rate.
        optimizer: the `--optimizer`.
        schedule: the `--schedule`.
        settings: what else is not the same in all runs, by field of the configuration, or by name of a version.
    """

    run: str
    label: str
    state: State
    epochs_done: int
    epochs: int
    top_accuracy: float | None
    top_epoch: int
    chosen_by: str
    test_accuracy: float | None
    final_train_accuracy: float | None
    final_test_accuracy: float | None
    final_train_loss: float | None
    final_test_loss: float | None
    gap: float | None
    seconds: float
    images_per_second: float
    lr: float
    optimizer: str
    schedule: str
    settings: dict[str, Any]

    @property
    def shortfall(self) -> str:
        """How far it came, if not to its end."""
        return "" if self.state == "finished" else f"{self.state} {self.epochs_done}/{self.epochs}"


class Disagreement(msgspec.Struct, frozen=True, kw_only=True):
    """A run beside the one of the fewest mistakes, on the same test images.

    Attributes:
        run: its label.
        best: that of the other.
        only_run: the test images that only the run got right, by name.
        only_best: those that only the other got right.
        p_value: how probable so unequal numbers are if both are equally good (McNemar's exact test).
    """

    run: str
    best: str
    only_run: list[str]
    only_best: list[str]
    p_value: float


class Comparison(Displayed, frozen=True, kw_only=True):
    """Several runs side by side.

    Attributes:
        runs: in the order in which they were named.
        same: the settings and versions that all runs share.
        notices: what makes the comparison doubtful, a sentence each.
        disagreements: image by image, of the runs on the same data that have a report.
        picture: the curves.
        table: the figures as CSV.
        page: all of it as HTML.
    """

    runs: list[ComparedRun]
    same: dict[str, Any]
    notices: list[str]
    disagreements: list[Disagreement]
    picture: str
    table: str
    page: str


# What is best in a column, where one value is better than another.
BEST = {
    "top_accuracy": max,
    "test_accuracy": max,
    "final_train_loss": min,
    "final_test_loss": min,
    "seconds": min,
    "images_per_second": max,
}


def winners(runs: list[ComparedRun], column: str) -> list[ComparedRun]:
    """Return the runs with the best value of a column, none where no value is better than another.

    Top accuracies are compared only if one split chose all epochs, and seconds only of finished runs.
    """
    if column not in BEST or (column == "top_accuracy" and len({run.chosen_by for run in runs}) > 1):
        return []
    able = [run for run in runs if getattr(run, column) is not None and run.epochs_done]
    if column == "seconds":
        able = [run for run in able if run.state == "finished"]
    best = BEST[column]((getattr(run, column) for run in able), default=None)
    return [run for run in able if getattr(run, column) == best]
