"""Trackers: where a training is logged beside its run directory, one file each."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from evacli.run.history import Row
from evacli.run.summary import Summary


class Tracker(Protocol):
    """What a class of this package can do; it is made with the run directory, and opens its place there or elsewhere.

    Whatever its methods raise, the training goes on without it.
    """

    def begin(self, config: Mapping[str, Any]) -> None:
        """Note the settings of a training that begins or goes on."""

    def epoch(self, row: Row) -> None:
        """Note what of a finished epoch is not noted yet."""

    def keep(self, files: Sequence[Path]) -> None:
        """Copy files of the run, as far as there is a place for such."""

    def end(self, summary: Summary) -> None:
        """Note what the training has come to, for the time being or for good."""


def figures(row: Row) -> dict[str, float]:
    """Return the figures of an epoch by their names in `history.csv`."""
    names = (name for name in row.__struct_fields__ if name != "epoch")
    return {name: value for name in names if (value := getattr(row, name)) is not None}


def outcome(summary: Summary) -> dict[str, float]:
    """Return the final figures of a training."""
    return {
        "top_accuracy": summary.top_accuracy,
        "top_epoch": summary.top_epoch,
        "final_test_accuracy": summary.test_accuracy,
        "images_per_second": summary.images_per_second,
    }
