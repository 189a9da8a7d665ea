"""The pictures that a command line names, one after the other."""

import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from evacli.data import pictures
from evacli.data.files import File, hidden
from evacli.errors import DataError

# What is called so is taken for a picture without a look at it; if it is none, that will be said of it by name.
ENDINGS = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".ppm", ".tif", ".tiff", ".webp", ".heic")


def named(arguments: Iterable[str | os.PathLike[str]]) -> Iterator[Path]:
    """Yield the files that are meant.

    A file is itself; a folder is all pictures in it and below it, told by their names or their content, in the order of
    their names; and a pattern that no shell has expanded, such as `photos/*.jpg`, is what it matches.

    Raises:
        DataError: if there is no such file, or no picture in a folder.

    Example:
        >>> list(named(["cat.png", "photos"]))
        [PosixPath('cat.png'), PosixPath('photos/a.jpg'), PosixPath('photos/trip/b.jpg')]
    """
    for argument in arguments:
        path = Path(argument)
        if path.is_dir():
            yield from _inside(path)
        elif path.exists():
            yield path
        else:
            matching = sorted(glob.glob(os.fspath(argument), recursive=True))  # noqa: PTH207 - absolute patterns too
            if not matching:
                raise DataError(f"{argument}: there is no such picture.", "Name files, folders or a pattern.")
            yield from named(matching)


def _inside(folder: Path) -> Iterator[Path]:
    empty = True
    for where, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not hidden(name))
        for name in sorted(files):
            path = Path(where, name)
            if not hidden(name) and path.is_file() and _is_picture(path):
                empty = False
                yield path
    if empty:
        raise DataError(f"{folder} holds no pictures.", "Name a folder that does.")


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in ENDINGS or pictures.is_picture(File.at(path))
