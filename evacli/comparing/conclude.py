"""From what runs have stored to what a comparison says."""

import math
from collections.abc import Sequence
from typing import Any

from evacli.comparing.contenders import Contender
from evacli.comparing.doubts import doubts
from evacli.comparing.files import Files
from evacli.comparing.result import ComparedRun, Comparison
from evacli.run import history

# Settings that are in every table anyway.
_SHOWN = frozenset({"lr", "optimizer", "schedule", "epochs"})
_FINAL = ("train_accuracy", "test_accuracy", "train_loss", "test_loss")


def conclude(gathered: Sequence[Contender], files: Files) -> Comparison:
    """The figures of the runs, and the settings that differ and that do not."""
    settings = [c.settings for c in gathered]
    names = list(dict.fromkeys(name for values in settings for name in values))
    differing = [name for name in names if any(values.get(name) != settings[0].get(name) for values in settings)]
    return Comparison(
        runs=[_figures(c, [name for name in differing if name not in _SHOWN]) for c in gathered],
        same={name: settings[0].get(name) for name in names if name not in differing},
        notices=doubts(gathered),
        picture=str(files.picture),
        table=str(files.table),
        page=str(files.page),
    )


def _figures(contender: Contender, differing: list[str]) -> ComparedRun:
    trained, settings = contender.trained, contender.settings
    return ComparedRun(
        run=str(contender.run.path),
        label=contender.label,
        state=trained.state,
        epochs=contender.config.epochs,
        chosen_by=trained.chosen_by,
        seconds=trained.seconds,
        images_per_second=trained.images_per_second,
        lr=trained.lr,
        optimizer=settings["optimizer"],
        schedule=settings["schedule"],
        settings={name: settings.get(name) for name in differing},
        **_measured(contender),
    )


def _measured(contender: Contender) -> dict[str, Any]:
    """The figures that the history tells."""
    if not contender.rows:
        names = ("top_accuracy", "test_accuracy", *map("final_{}".format, _FINAL), "gap")
        return dict.fromkeys(names) | {"epochs_done": 0, "top_epoch": 0}
    top, last = history.best(contender.rows), contender.rows[-1]
    return {
        "epochs_done": len(contender.rows),
        "top_accuracy": top.deciding_accuracy,
        "top_epoch": top.epoch,
        "test_accuracy": top.test_accuracy,
        **{f"final_{name}": _finite(getattr(last, name)) for name in _FINAL},
        "gap": _finite(last.train_accuracy - last.test_accuracy),
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
