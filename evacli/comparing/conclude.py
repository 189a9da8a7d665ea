"""From what runs have stored to what a comparison says."""

import math
from collections.abc import Sequence
from typing import Any

from evacli.comparing.disagreement import disagreements
from evacli.comparing.files import Files
from evacli.comparing.result import ComparedRun, Comparison
from evacli.comparing.runs import TrainedRun
from evacli.comparing.warnings import warnings_about
from evacli.run import history

# Settings that are in every table anyway.
_SHOWN = frozenset({"lr", "optimizer", "schedule", "epochs"})
_FINAL = ("train_accuracy", "test_accuracy", "train_loss", "test_loss")


def conclude(gathered: Sequence[TrainedRun], files: Files) -> Comparison:
    """Return the figures of the runs, and the settings that differ and that do not."""
    settings = [c.settings for c in gathered]
    names = list(dict.fromkeys(name for values in settings for name in values))
    differing = [name for name in names if any(values.get(name) != settings[0].get(name) for values in settings)]
    return Comparison(
        runs=[_figures(c, [name for name in differing if name not in _SHOWN]) for c in gathered],
        same={name: settings[0].get(name) for name in names if name not in differing},
        notices=warnings_about(gathered),
        disagreements=disagreements(gathered),
        picture=str(files.picture),
        table=str(files.table),
        page=str(files.page),
    )


def _figures(run: TrainedRun, differing: list[str]) -> ComparedRun:
    trained, settings = run.trained, run.settings
    return ComparedRun(
        run=str(run.directory.path),
        label=run.label,
        state=trained.state,
        epochs=run.config.epochs,
        chosen_by=trained.chosen_by,
        seconds=trained.seconds,
        images_per_second=trained.images_per_second,
        lr=trained.lr,
        optimizer=settings["optimizer"],
        schedule=settings["schedule"],
        settings={name: settings.get(name) for name in differing},
        **_measured(run),
    )


def _measured(run: TrainedRun) -> dict[str, Any]:
    """Return the figures that the history tells."""
    top, last = history.best(run.rows), run.rows[-1] if run.rows else None
    final = {name: _finite(getattr(last, name, None)) for name in _FINAL}
    train, test = final["train_accuracy"], final["test_accuracy"]
    return {
        "epochs_done": len(run.rows),
        "top_accuracy": top.deciding_accuracy if top else None,
        "top_epoch": top.epoch if top else 0,
        "test_accuracy": top.test_accuracy if top else None,
        **{f"final_{name}": value for name, value in final.items()},
        "gap": None if train is None or test is None else train - test,
    }


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
