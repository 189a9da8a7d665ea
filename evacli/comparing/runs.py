"""What takes part in a comparison: runs that have been trained, each under a label of its own."""

from collections.abc import Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import msgspec

from evacli import console, paths
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
    """What one run has stored.

    Attributes:
        directory: the run.
        label: what it is called here.
        config: what it was made with.
        trained: what its training came to.
        rows: its epochs; none if it failed in the first one.
        source: the same for all runs on the same data, wherever that lay when they were made.
        data: what that data is called here; other data has another name.
        model: what its network is called here; another file has another name.
    """

    directory: RunDir
    label: str
    config: Config
    trained: Summary
    rows: list[Row]
    source: Hashable = None
    data: str = ""
    model: str = ""

    @property
    def settings(self) -> dict[str, Any]:
        """What it was made with: fields of the configuration, and versions by name."""
        values = msgspec.structs.asdict(self.config)
        del values["dataset"]
        named = {"data": self.data, "model": self.model, "lr": self.trained.lr}
        return values | named | self.trained.versions


def gather(directories: Sequence[Path]) -> list[TrainedRun]:
    """Read the runs; one that is named twice takes part once, and one without epochs is left out if two remain.

    Raises:
        ConfigError: if there are fewer than two or more than `MOST`.
        RunError: if one is not there or is garbled, or if too few have epochs.
    """
    runs = _with_epochs(_distinct([_run(path) for path in directories]))
    _check_number(runs)
    labels = distinct_labels([run.path for run in runs])
    return _named([_read(run, label) for run, label in zip(runs, labels, strict=True)])


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


def _with_epochs(runs: Sequence[RunDir]) -> list[RunDir]:
    able = [run for run in runs if run.summary.is_file() and (run.history.is_file() or _failed(run))]
    lacking = [run for run in runs if run not in able]
    if len(able) < 2 and lacking:
        raise _too_few(lacking)
    for run in lacking:
        inside = _runs_in(run)
        reason = f"is not a run, but holds {inside}" if inside else _lack(run)
        console.warn(f"{run.path} {reason}; it is left out.")
    return able


def _lack(run: RunDir) -> str:
    # A training that was killed between its first history and its first summary.
    return f"has no {run.summary.name}" if run.history.is_file() else "has no epochs to compare"


def _runs_in(folder: RunDir) -> str:
    return listed(sorted(str(path.parent) for path in folder.path.glob(f"*/{folder.history.name}")), MOST_NAMED)


def _too_few(lacking: Sequence[RunDir]) -> RunError:
    first = lacking[0]
    if inside := _runs_in(first):
        return RunError(f"{first.path} is not a run, but holds {inside}.", "Name the runs themselves.")
    if first.history.is_file():
        return RunError(f"{first.path} {_lack(first)}.", f"Go on with it: evacli train{first.option}")
    return RunError(
        f"No epochs to compare in {listed([str(run.path) for run in lacking], MOST_NAMED)}.",
        f"Leave out what is not trained, or run first: evacli train{first.option}",
    )


def _failed(run: RunDir) -> bool:
    return summary.read(run).state == "failed"


def distinct_labels(directories: Sequence[Path]) -> list[str]:
    """Return a label for each path: its name, with folders before it or a number, as it takes to tell them apart."""
    labels = [_shortened(printable(name)) for name in _ends([absolute(path) for path in directories])]
    if len(set(labels)) == len(labels):
        return labels
    return [f"{number}: {label}" for number, label in enumerate(labels, 1)]


def _ends(places: Sequence[Path]) -> list[str]:
    """Return the last part of each path, with as many before it as it takes to tell different ones apart."""
    for depth in count(1):
        names = ["/".join(path.parts[-depth:]) for path in places]
        if len(set(names)) == len(set(places)):
            break
    return names


def _shortened(name: str) -> str:
    return name if len(name) <= LABEL else f"{name[: LABEL // 2 - 1]}…{name[-LABEL // 2 :]}"


def _read(run: RunDir, label: str) -> TrainedRun:
    rows = history.read_csv(run.history) if run.history.is_file() else []
    return TrainedRun(run, label, config_file.read(run) or Config(), summary.read(run), rows)


def _named(runs: Sequence[TrainedRun]) -> list[TrainedRun]:
    """Give the data and the networks of the runs their names: one to each, however its path was spelled."""
    sources = _sources(runs)
    data = _common(
        [Path(paths.absolute(c.config.data) if c.config.data else str(c.config.dataset)) for c in runs], sources
    )
    networks = [paths.split(c.config.model) for c in runs]
    files = _common([file for file, _ in networks], [paths.real(str(file)) for file, _ in networks])
    models = [
        f"{file}:{function}" if paths.is_reference(c.config.model) else c.config.model
        for c, file, (_, function) in zip(runs, files, networks, strict=True)
    ]
    return [
        replace(c, source=source, data=name, model=model)
        for c, source, name, model in zip(runs, sources, data, models, strict=True)
    ]


def _sources(runs: Sequence[TrainedRun]) -> list[Hashable]:
    """Return for each run which data it was made on: where that lay, or, of equal fingerprint, the first place."""
    settings = [c.config for c in runs]
    found: list[Hashable] = [(paths.real(c.data) if c.data else c.dataset, c.skip_bad) for c in settings]
    for fingerprint in {c.trained.data_fingerprint for c in runs}:
        alike = [source for source, c in zip(found, runs, strict=True) if c.trained.data_fingerprint == fingerprint]
        found = [alike[0] if source in alike else source for source in found]
    return found


def _common(places: Sequence[Path], keys: Sequence[Hashable]) -> list[str]:
    """Return the end of each place, that of the first one for all that have the same key."""
    return _ends([places[keys.index(key)] for key in keys])
