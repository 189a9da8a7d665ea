"""Where a comparison is written."""

import os
from collections.abc import Iterable
from pathlib import Path

from evacli.errors import RunError


class Files:
    """Names the files of a comparison; creates nothing until `create` is called."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.picture = self.folder / "compare.png"
        self.table = self.folder / "compare.csv"
        self.page = self.folder / "compare.html"

    def create(self) -> None:
        """Make the folder.

        Raises:
            RunError: if the file system refuses.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as e:
            raise RunError(f"Cannot write to the folder {self.folder}: {e.strerror}.", "Name another --out.") from e


def is_written(path: Path) -> bool:
    """Tell whether an earlier comparison wrote this file."""
    files = Files(path.parent)
    return path in (files.picture, files.table, files.page) and path.is_file()


def absolute(path: Path) -> Path:
    """Return `path` from the root, as it was named: a link keeps its own name."""
    return Path(os.path.normpath(Path.cwd() / path))


def default_folder(runs: Iterable[Path]) -> Path:
    """Return the folder that all the runs are in; the current one if they are in several and not all below it."""
    here = Path.cwd()
    parents = {absolute(run).parent for run in runs}
    folder = Path(os.path.commonpath(parents))
    if len(parents) > 1 and not folder.is_relative_to(here):
        return Path()
    return folder.relative_to(here) if folder.is_relative_to(here) else folder
