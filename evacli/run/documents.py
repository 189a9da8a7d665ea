"""The JSON documents of a run directory, which a stranger may have made."""

import json
from pathlib import Path
from typing import TypeVar

import msgspec

from evacli.config import up_to_date
from evacli.run.directory import read_small, write_text_atomically

# What goes wrong in reading one; msgspec's and json's own errors are ValueErrors.
UNREADABLE = (OSError, ValueError, RecursionError)

T = TypeVar("T")


def read(path: Path, kind: type[T]) -> T:
    """Return the document, validated.

    Raises:
        FileNotFoundError: if there is none.
        OSError | ValueError | RecursionError: if it is not what `kind` describes.
    """
    # Not msgspec's parser: it refuses the lone surrogates of a path or a folder name that is no valid UTF-8.
    return msgspec.convert(up_to_date(json.loads(read_small(path))), kind)


def write(path: Path, value: object) -> None:
    """Replace the document in one step."""
    write_text_atomically(path, json.dumps(msgspec.to_builtins(value), indent=2) + "\n")
