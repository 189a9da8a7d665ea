"""The user's own network file, `--model path/to/file.py:build`, which is code: how it is named, and when it may run.

A run directory stores the name for the commands to come. Yet a run directory may come from a stranger; so a file that
only it names runs if this user has once named the same file in a command. Of that a note is kept per file, outside of
all run directories.
"""

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from shlex import quote

import typer

from evacli.catalogue.networks import NETWORKS
from evacli.errors import ModelError
from evacli.messages import meant
from evacli.paths import is_reference, on_file, shown, split
from evacli.run.directory import RunDir

EXPECTED = "Expected: path/to/file.py:build, where build(input_shape, num_classes) returns a keras.Model."


def require(model: str) -> None:
    """Refuse what names neither a network nor a Python file that there is.

    Raises:
        ModelError: with the name that may have been meant.
    """
    if is_reference(model):
        if not split(model)[0].is_file():
            raise ModelError(f"--model {on_file(model, shown)}: there is no such file.", EXPECTED)
    elif model not in NETWORKS:
        raise ModelError(
            f"--model {model}: there is no such network.",
            f"{meant(model, NETWORKS)}Choose one of {', '.join(NETWORKS)}, or your own as path/to/file.py:build.",
        )


def allow(model: str, run: RunDir, *, named: bool) -> None:
    """Make sure that the user wants the file of `model` to run, if it is one.

    Args:
        model: the run's `--model`.
        run: the run directory that stores it.
        named: whether the command itself names it.

    Raises:
        ModelError: if there is no such network or file, or if only the run directory names the file, and this user has
            never done so.
    """
    if not is_reference(model):
        require(model)
        return
    file, short = split(model)[0], on_file(model, shown)
    if named:
        require(model)
        _remember(file)
    elif not file.is_file():
        raise ModelError(
            f"{run.path} was made with --model {short}, and there is no such file.",
            "If it has moved, name where it lies now: add --model path/to/file.py:build",
        )
    elif not _note(file).exists():
        raise ModelError(
            f"{run.path} asks to run {short}, a file that you have not named in a command on this machine before.",
            f"If you trust that file: add --model {quote(short)}",
        )


def _remember(path: Path) -> None:
    note = _note(path)
    if note.exists():
        return
    with suppress(OSError):  # without a home to write to, later commands ask for the name again
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_bytes(os.fsencode(path.resolve()) + b"\n")


def _note(path: Path) -> Path:
    digest = hashlib.blake2b(os.fsencode(path.resolve()), digest_size=16).hexdigest()
    return Path(typer.get_app_dir("evacli")) / "networks" / digest
