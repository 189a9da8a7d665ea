"""What `--data PATH` holds: recognised by content, whatever it is called."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

from evacli import paths
from evacli.config import Config
from evacli.data import cifar, folders, labelled, npz, pictures, tree
from evacli.data.containers import GZIP_MAGIC, Files, archived, directories
from evacli.data.hostile import reading
from evacli.data.labelled import Labelled
from evacli.data.types import Source
from evacli.errors import DataError
from evacli.messages import listed

EXPECTED = (
    "Expected: CIFAR batches (their folder or .tar.gz), an .npz with x_train, y_train, x_test, y_test, "
    "or a folder with train/<class>/ and test/<class>/ images."
)
ZIP_MAGIC = b"PK"
TAR_MAGIC, TAR_MAGIC_AT = b"ustar", 257

T = TypeVar("T")


def read(given: str, config: Config) -> Source:
    """Load the data set at the path that was given.

    Raises:
        DataError: if there is nothing that evacli can read; it says what was expected.
    """
    return _read(given, _Readers(lambda batches: batches, npz.read, partial(_folders, config=config)), EXPECTED)


def read_labelled(given: str, *, skip_bad: bool = False) -> Labelled:
    """Find the labelled pictures at a path that a network can be evaluated on; those of folders are not read yet.

    Raises:
        DataError: as for `read`.
    """
    folder = partial(labelled.of_folder, skip_bad=skip_bad)
    return _read(given, _Readers(_labelled_batches, _labelled_arrays, folder), labelled.EXPECTED)


@dataclass(frozen=True)
class _Readers(Generic[T]):
    """What is made of each kind of data."""

    batches: Callable[[Source], T]
    arrays: Callable[[Path], T]
    folder: Callable[[Path], T]


def _folders(path: Path, config: Config) -> Source:
    if not (path / tree.TRAIN).is_dir():
        raise DataError(f"--data {path} has no folder train.", EXPECTED)
    return folders.read(path, config)


def _labelled_batches(batches: Source) -> Labelled:
    return labelled.of_split("test", batches.test, lambda i: batches.class_names[i])


def _labelled_arrays(path: Path) -> Labelled:
    part, split, names = npz.read_part(path)
    return labelled.of_split(part, split, lambda i: str(i if names is None else names[i]))


def _read(given: str, readers: _Readers[T], expected: str) -> T:
    given = paths.shown(given)
    with reading(f"--data {given}", expected):
        # Not Path.expanduser, which has no answer for a folder called ~backup where nobody is called so.
        path = Path(os.path.expanduser(given))  # noqa: PTH111
        if not path.exists():
            raise DataError(f"--data {given} does not exist.", expected)
        return _from_folder(path, readers, expected) if path.is_dir() else _from_file(path, readers, expected)


def _from_folder(path: Path, readers: _Readers[T], expected: str) -> T:
    if batches := _cifar(directories(path)):
        return readers.batches(batches)
    if not any(path.iterdir()):
        raise DataError(f"--data {path} is empty.", expected)
    return readers.folder(path)


def _from_file(path: Path, readers: _Readers[T], expected: str) -> T:
    if not path.is_file():
        raise DataError(f"--data {path} is neither a file nor a folder.", expected)
    with path.open("rb") as file:
        head = file.read(512)
    if head.startswith(ZIP_MAGIC):
        return readers.arrays(path)
    if pictures.is_picture(path):
        raise DataError(f"--data {path} is a single image.", expected)
    is_archive = head.startswith(GZIP_MAGIC) or head[TAR_MAGIC_AT:].startswith(TAR_MAGIC)
    if is_archive and (batches := _cifar(archived(path))):
        return readers.batches(batches)
    raise DataError(f"--data {path} holds no data set that evacli knows.", expected)


def _cifar(candidates: dict[str, Files]) -> Source | None:
    found = {where: files for where, files in candidates.items() if cifar.layout(files)}
    if len(found) > 1:
        raise DataError(f"There are several data sets: {listed(sorted(found))}.", "Name one of them with --data.")
    for where, files in found.items():
        return cifar.read(files, where)
    return None
