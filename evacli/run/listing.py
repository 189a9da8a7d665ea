"""The runs below a folder, each with how far it came."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec

from evacli import console
from evacli.errors import RunError
from evacli.paths import model_name
from evacli.run import config_file, summary
from evacli.run.directory import CONFIG, DEFAULT_RUN, RunDir

State = summary.State | Literal["not trained", "damaged"]


class RunListing(msgspec.Struct, frozen=True, kw_only=True):
    """One run.

    Attributes:
        run: its directory.
        state: "not trained": there is a configuration only; "damaged": what is there cannot be read.
        model: the `--model` of the run; None if damaged, and so below.
        epochs_done: finished epochs.
        epochs: how many it is to have.
        top_accuracy: the highest accuracy, a share of 1; None before the first test.
        chosen_by: the split that this accuracy is measured on.
        tta: whether it evaluates each image together with its mirror image.
        lr: its peak learning rate; None before training.
    """

    run: str
    state: State
    model: str | None = None
    epochs_done: int = 0
    epochs: int | None = None
    top_accuracy: float | None = None
    chosen_by: str | None = None
    tta: bool = False
    lr: float | None = None


def runs(folder: str | Path = DEFAULT_RUN.parent) -> list[RunListing]:
    """Return the runs in `folder` and below it, by name; itself, if it is one.

    Raises:
        RunError: if there is no such folder.

    Example:
        >>> [run.run for run in runs("runs")]
        ['runs/first', 'runs/second']
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise RunError(f"{folder} is not a folder.", "Name one that holds runs; evacli train makes runs/default.")
    return [_listing(RunDir(path)) for path in sorted(_directories(folder))]


def _directories(folder: Path) -> Iterator[Path]:
    waiting = [folder]  # not a call for each level: folders may be nested deeper than calls
    while waiting:
        folder = waiting.pop()
        try:
            if (folder / CONFIG).is_file():
                yield folder  # What a run holds is its own.
            else:
                waiting += [path for path in folder.iterdir() if path.is_dir() and not path.is_symlink()]
        except OSError as e:
            console.warn(f"{folder} cannot be read: {e.strerror or e}.")


def _listing(run: RunDir) -> RunListing:
    name = str(run.path)
    try:
        settings = config_file.read(run)
        trained = summary.read(run) if run.summary.exists() else None
    except RunError:
        return RunListing(run=name, state="damaged")
    if settings is None or trained is None:
        # A training that was interrupted in its first epoch has a checkpoint, but nothing to sum up.
        state: State = "unfinished" if run.has_checkpoint else "not trained"
        known: dict[str, Any] = (
            {} if settings is None else {"model": model_name(settings.model), "epochs": settings.epochs}
        )
        return RunListing(run=name, state=state, **known)
    return RunListing(
        run=name,
        state=trained.state,
        model=trained.model,
        epochs_done=trained.epochs_done,
        epochs=settings.epochs,
        top_accuracy=trained.top_accuracy if trained.top_epoch else None,
        chosen_by=trained.chosen_by,
        tta=trained.tta,
        lr=trained.lr,
    )
