"""What `--data PATH` holds: recognised by content, whatever it is called."""

import os
from pathlib import Path

from evacli import paths
from evacli.config import Config
from evacli.data import cifar, folders, npz, pictures, tree
from evacli.data.containers import GZIP_MAGIC, Files, archived, directories
from evacli.data.hostile import reading
from evacli.data.types import Source
from evacli.errors import DataError
from evacli.messages import listed

EXPECTED = (
    "Expected: CIFAR batches (their folder or .tar.gz), an .npz with x_train, y_train, x_test, y_test, "
    "or a folder with train/<class>/ and test/<class>/ images."
)
ZIP_MAGIC = b"PK"
TAR_MAGIC, TAR_MAGIC_AT = b"ustar", 257


def read(given: str, config: Config) -> Source:
    """Load the data set at the path that was given.

    Raises:
        DataError: if there is nothing that evacli can read; it says what was expected.
    """
    given = paths.shown(given)
    with reading(f"--data {given}", EXPECTED):
        # Not Path.expanduser, which has no answer for a folder called ~backup where nobody is called so.
        path = Path(os.path.expanduser(given))  # noqa: PTH111
        if not path.exists():
            raise DataError(f"--data {given} does not exist.", EXPECTED)
        return _from_folder(path, config) if path.is_dir() else _from_file(path)


def _from_folder(path: Path, config: Config) -> Source:
    if batches := _cifar(directories(path)):
        return batches
    if (path / tree.TRAIN).is_dir():
        return folders.read(path, config)
    empty = not any(path.iterdir())
    raise DataError(f"--data {path} is empty." if empty else f"--data {path} has no folder train.", EXPECTED)


def _from_file(path: Path) -> Source:
    if not path.is_file():
        raise DataError(f"--data {path} is neither a file nor a folder.", EXPECTED)
    with path.open("rb") as file:
        head = file.read(512)
    if head.startswith(ZIP_MAGIC):
        return npz.read(path)
    if pictures.is_picture(path):
        raise DataError(f"--data {path} is a single image.", EXPECTED)
    is_archive = head.startswith(GZIP_MAGIC) or head[TAR_MAGIC_AT:].startswith(TAR_MAGIC)
    if is_archive and (batches := _cifar(archived(path))):
        return batches
    raise DataError(f"--data {path} holds no data set that evacli knows.", EXPECTED)


def _cifar(candidates: dict[str, Files]) -> Source | None:
    found = {where: files for where, files in candidates.items() if cifar.layout(files)}
    if len(found) > 1:
        raise DataError(f"There are several data sets: {listed(sorted(found))}.", "Name one of them with --data.")
    for where, files in found.items():
        return cifar.read(files, where)
    return None
