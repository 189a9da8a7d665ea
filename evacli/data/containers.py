"""Files by name and folder, out of a directory or an archive alike; nothing is ever unpacked to disk."""

import gzip
import io
import tarfile
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path, PurePosixPath

from evacli.data.hostile import MAX_BYTES
from evacli.errors import DataError

MAX_MEMBERS = 10_000
GZIP_MAGIC = b"\x1f\x8b"

# What each file of a folder holds, read when called.
Files = Mapping[str, Callable[[], bytes]]


def directories(path: Path) -> dict[str, Files]:
    """The files directly in `path` and in each of its direct subfolders, but those that may not be entered."""
    found = {str(path): _files(path)}
    for child in sorted(child for child in path.iterdir() if child.is_dir()):
        with suppress(PermissionError):  # such as the lost+found of a disk
            found[str(child)] = _files(child)
    return found


def _files(folder: Path) -> Files:
    # is_file keeps pipes and devices out, which would never end.
    return {child.name: partial(_content, child) for child in folder.iterdir() if child.is_file()}


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        return _capped(file.read(MAX_BYTES + 1), path)


def _capped(content: bytes, path: Path) -> bytes:
    if len(content) > MAX_BYTES:
        raise DataError(f"{path} holds more than {MAX_BYTES // 2**20} MB, more than any CIFAR file.")
    return content


def archived(path: Path) -> dict[str, Files]:
    """The files of a `.tar` or `.tar.gz`, by folder.

    Raises:
        DataError: if it holds links, devices or paths that lead out of it, or unpacks to more than `MAX_BYTES`.
    """
    content = _unpacked(path)
    found: dict[str, dict[str, Callable[[], bytes]]] = defaultdict(dict)
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as tar:
        for count, member in enumerate(tar):
            _check_member(member, count, path)
            if member.isfile():
                name = PurePosixPath(member.name)
                found[str(path / name.parent)][name.name] = partial(_part, content, member.offset_data, member.size)
    return dict(found)


def _part(content: bytes, start: int, length: int) -> bytes:
    return content[start : start + length]


def _unpacked(path: Path) -> bytes:
    # Limited before tarfile sees it, so that no header, however large it says to be, takes more memory than this.
    with path.open("rb") as file:
        zipped = file.read(2) == GZIP_MAGIC
        file.seek(0)
        with gzip.open(file) if zipped else file as plain:
            return _capped(plain.read(MAX_BYTES + 1), path)


def _check_member(member: tarfile.TarInfo, count: int, path: Path) -> None:
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts:
        raise DataError(f"{path} holds {member.name}, which leads out of the archive.", "Take the official archive.")
    if not (member.isfile() or member.isdir()) or member.issparse():
        raise DataError(f"{path} holds {member.name}, which is no plain file.", "Take the official archive.")
    if count >= MAX_MEMBERS:
        raise DataError(f"{path} holds more than {MAX_MEMBERS:,} files.", "Take the official archive.")
