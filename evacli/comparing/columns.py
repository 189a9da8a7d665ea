"""The columns of a comparison, for the console and for the page."""

from collections.abc import Callable
from typing import NamedTuple

from evacli.comparing.result import ComparedRun
from evacli.config import Config, option
from evacli.formats import DASH, duration, loss, percent, points


class Column(NamedTuple):
    """A column of the table of figures; numbers stand to the right."""

    title: str
    name: str  # of the field of `ComparedRun` that is ranked
    shown: Callable[[ComparedRun], object]
    is_number: bool = True


RESULTS = (
    Column("Top accuracy", "top_accuracy", lambda run: percent(run.top_accuracy)),
    Column("Epoch", "top_epoch", lambda run: f"{run.top_epoch}/{run.epochs_done}" if run.epochs_done else DASH),
    Column("Chosen by", "chosen_by", lambda run: run.chosen_by, False),
    Column("Test accuracy", "test_accuracy", lambda run: percent(run.test_accuracy)),
    Column("Train loss", "final_train_loss", lambda run: loss(run.final_train_loss)),
    Column("Test loss", "final_test_loss", lambda run: loss(run.final_test_loss)),
    Column("Gap", "gap", lambda run: points(run.gap)),
)
COSTS = (
    Column("Time", "seconds", lambda run: duration(run.seconds)),
    Column("Images/s", "images_per_second", lambda run: f"{run.images_per_second:,.0f}"),
)
SETTINGS = (
    Column("LR", "lr", lambda run: f"{run.lr:.4g}"),
    Column("Optimizer", "optimizer", lambda run: run.optimizer, False),
    Column("Schedule", "schedule", lambda run: run.schedule, False),
)


def is_setting(name: str) -> bool:
    """Whether it is an option of `train`, and not the name of a version."""
    return name in Config.__struct_fields__


def named(name: str) -> str:
    """Return a setting as it is spelled on the command line, a version by its name."""
    return option(name) if is_setting(name) else name
