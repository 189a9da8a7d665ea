"""The folders that evaluate leaves in a run directory, one for each data set."""

import json
import re
from contextlib import suppress
from itertools import count
from pathlib import Path

from evacli.run.directory import Evaluation, RunDir, read_small, remove_leftovers


def folder_of(run: RunDir, data: str) -> Evaluation:
    """Return where the evaluation on a data set goes: of its name; of that and a number, if another has the name.

    Args:
        run: the run directory.
        data: the path of the data set, from the root.

    Example:
        >>> folder_of(RunDir("runs/first"), "/photos/night").path
        PosixPath('runs/first/evaluate/night')
    """
    name = re.sub(r"[^\w.-]+", "_", Path(data).name, flags=re.ASCII)[:60].strip(".") or "data"
    candidates = (Evaluation(run.evaluations / (name if i == 1 else f"{name}-{i}")) for i in count(1))
    return next(found for found in candidates if _data(found) in (None, data))


def _data(evaluation: Evaluation) -> object:
    """Return which data set a folder is of; None if nothing says so."""
    try:
        return json.loads(read_small(evaluation.figures))["data"]
    except (OSError, ValueError, RecursionError, LookupError, TypeError):
        return None


def remove(run: RunDir) -> None:
    """Remove what earlier calls have left; files that are not theirs stay."""
    for folder in [] if run.evaluations.is_symlink() else run.evaluations.glob("*/"):
        if folder.is_symlink():
            continue
        files = Evaluation(folder).files
        remove_leftovers(*files)
        for file in files:
            file.unlink(missing_ok=True)
        with suppress(OSError):  # it holds something else
            folder.rmdir()
    with suppress(OSError):
        run.evaluations.rmdir()
