"""Paths in settings: one file has many spellings.

A run directory stores a path from the root, since its later commands may be given in another folder. People read it as
short as it can be. `--model path/to/file.py:build` is such a path, with a function behind it.
"""

import os
from collections.abc import Callable
from pathlib import Path

DEFAULT_FUNCTION = "build"
# A longer path, which a stranger may have stored, leads nowhere on any system.
_LONGEST = 4096
_DEEPEST = 32  # folders of a stored path that are looked for


def is_reference(model: str) -> bool:
    """Return whether `model` is spelled like a function in a Python file, `path/to/file.py:function`."""
    return Path(_parts(model)[0]).suffix == ".py"


def split(reference: str) -> tuple[Path, str]:
    """Return the file and the function that a reference names; without the function's name it is `build`."""
    file, function = _parts(reference)
    return Path(file), function.removeprefix(":") or DEFAULT_FUNCTION


def on_file(model: str, change: Callable[[str], str]) -> str:
    """Return a reference with `change` applied to the path in it, any other model as it is.

    Example:
        >>> on_file("net.py:build", absolute)
        '/home/me/net.py:build'
    """
    file, function = _parts(model)
    return change(file) + function if is_reference(model) else model


def model_name(model: str) -> str:
    """Return what a network is called: a reference without the folders of its file, any other model as it is.

    Example:
        >>> model_name("/home/me/net.py:build")
        'net.py:build'
    """
    return on_file(model, lambda file: Path(file).name)


def _parts(reference: str) -> tuple[str, str]:
    path, colon, function = reference.rpartition(":")
    return (path, colon + function) if colon and path.endswith(".py") else (reference, "")


def absolute(spelled: str) -> str:
    """Return a path from the root, with `~` filled in; a link keeps its own name, unless `..` follows it."""
    if len(spelled) > _LONGEST:
        return spelled
    try:
        path = Path.cwd() / os.path.expanduser(spelled)  # noqa: PTH111 - Path.expanduser refuses a folder called ~backup
        return os.path.realpath(path) if ".." in path.parts else str(path)
    except (OSError, ValueError):  # no current folder, or no path at all: opening it says so
        return spelled


def real(spelled: str) -> str:
    """Return the one spelling that all paths of a file have in common, all links followed."""
    try:
        return os.path.realpath(absolute(spelled)) if len(spelled) <= _LONGEST else spelled
    except (OSError, ValueError):
        return spelled


def shown(path: str) -> str:
    """Return a path as a person reads it: from the current folder where that is shorter.

    Example:
        >>> shown(str(Path.cwd() / "data" / "images"))
        'data/images'
    """
    if len(path) > _LONGEST:
        return path
    try:
        return min(os.path.relpath(path), path, key=len) if Path(path).is_absolute() else path
    except (OSError, ValueError):
        return path


def found(stored: str, beside: Path) -> str:
    """Return where a path that was stored leads to now.

    That is where it says, seen from the current folder. If nothing is there, the run directory may have moved together
    with it: then it, or of one from the root as much of its end as there is, is looked for in the folders that the run
    directory lies in.

    Args:
        stored: the path, from the root or, in run directories of earlier versions, from some folder.
        beside: the run directory.

    Returns:
        The path from the root; `stored` as it is where nothing is found.
    """
    if len(stored) > _LONGEST or _exists(absolute(stored)):
        return absolute(stored)
    parts, run = Path(stored).parts, Path(absolute(str(beside)))
    moved = Path(stored).is_absolute()
    for start in range(max(1, len(parts) - _DEEPEST), len(parts)) if moved else range(1):
        for folder in [run, *run.parents][:-1]:
            if _exists(path := str(folder.joinpath(*parts[start:]))):
                return absolute(path)
    return stored


def _exists(path: str) -> bool:
    return os.path.exists(path)  # noqa: PTH110 - Path.exists raises where a name is too long
