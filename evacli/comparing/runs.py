"""What takes part in a comparison: runs that have been trained, each under a label of its own."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import msgspec

from evacli import config, console
from evacli.comparing.files import absolute
from evacli.config import Config
from evacli.console import printable
from evacli.errors import ConfigError, RunError
from evacli.messages import listed
from evacli.run import config_file, history, summary
from evacli.run.directory import RunDir
from evacli.run.history import Row
from evacli.run.summary import Summary

MOST = 20  # runs; more curves in one picture cannot be told apart
LABEL = 40  # characters
MOST_NAMED = 3  # runs that a message lists


@dataclass(frozen=True)
class TrainedRun:
    """What one run has stored; no rows if it failed in its first epoch."""

    directory: RunDir
    label: str
    config: Config
    trained: Summary
    rows: list[Row]

    @property
    def settings(self) -> dict[str, Any]:
        """What it was made with: fields of the configuration, and versions by name."""
        values = msgspec.structs.asdict(self.config)
        del values["dataset"]
        return values | {"data": config.data_name(self.config), "lr": self.trained.lr} | self.trained.versions


def gather(paths: Sequence[Path]) -> list[TrainedRun]:
    """Reads the runs; one that is named twice takes part once.

    Raises:
        ConfigError: if there are fewer than two or more than `MOST`.
        RunError: if one is not there, has no epochs, or is garbled.
    """
    runs = _distinct([_run(path) for path in paths])
    _check_trained(runs)
    _check_number(runs)
    labels = distinct_labels([run.path for run in runs])
    return [_read(run, label) for run, label in zip(runs, labels, strict=True)]


def _run(path: Path) -> RunDir:
    with suppress(OSError):  # a name that is too long
        if path.is_dir():
            return RunDir(path)
    raise RunError(f"{path} is not a run directory.", "See which there are: evacli runs")


def _distinct(runs: Sequence[RunDir]) -> list[RunDir]:
    found: dict[Path, RunDir] = {}
    for run in runs:
        first = found.setdefault(run.path.resolve(), run)
        if first is not run:
            console.warn(f"{run.path} is the same run as {first.path}; it is shown once.")
    return list(found.values())


def _check_number(runs: Sequence[RunDir]) -> None:
    if len(runs) < 2:
        raise ConfigError(
            "A comparison takes two runs or more" + (f"; {runs[0].path} is one." if runs else "."),
            f"Name another one, or look at it alone: evacli report{runs[0].option}" if runs else "",
        )
    if len(runs) > MOST:
        raise ConfigError(f"{len(runs)} runs are too many to tell apart.", f"Name at most {MOST}.")


def _check_trained(runs: Sequence[RunDir]) -> None:
    lacking = [run for run in runs if not (run.history.is_file() or _failed(run))]
    if not lacking:
        return
    first = lacking[0]
    inside = sorted(str(path.parent) for path in first.path.glob(f"*/{first.history.name}"))
    if inside:
        raise RunError(
            f"{first.path} is not a run, but holds {listed(inside, MOST_NAMED)}.", "Name the runs themselves."
        )
    raise RunError(
        f"No epochs to compare in {listed([str(run.path) for run in lacking], MOST_NAMED)}.",
        f"Leave out what is not trained, or run first: evacli train{first.option}",
    )


def _failed(run: RunDir) -> bool:
    return run.summary.is_file() and summary.read(run).state == "failed"


def distinct_labels(paths: Sequence[Path]) -> list[str]:
    """A label for each path: its name, with as many folders before it, or a number, as it takes to tell them apart."""
    whole = [absolute(path) for path in paths]
    for depth in count(1):
        names = ["/".join(path.parts[-depth:]) for path in whole]
        if len(set(names)) == len(set(whole)):
            break
    labels = [_shortened(printable(name)) for name in names]
    if len(set(labels)) == len(labels):
        return labels
    return [f"{number}: {label}" for number, label in enumerate(labels, 1)]


def _shortened(name: str) -> str:
    return name if len(name) <= LABEL else f"{name[: LABEL // 2 - 1]}…{name[-LABEL // 2 :]}"


def _read(run: RunDir, label: str) -> TrainedRun:
    rows = history.read_csv(run.history) if run.history.is_file() else []
    return TrainedRun(run, label, config_file.read(run) or Config(), summary.read(run), rows)
