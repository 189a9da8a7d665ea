"""The files of a data set, in a folder or an archive: their names, and how to open them; nothing is unpacked."""

import os
import stat
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple

from evacli.data import containers
from evacli.data.hostile import MAX_BYTES
from evacli.data.names import from_file
from evacli.errors import DataError
from evacli.messages import listed, short

ZIP_MAGIC = b"PK"
# What file managers and archivers leave behind.
LEFT_BEHIND = ("thumbs.db", "desktop.ini", "__macosx")


class File(NamedTuple):
    """A file of a data set.

    Attributes:
        name: from the root of the data set, "/" between its parts; the same text on every system.
        open: gives its content from the start.
        stamp: numbers that change when its content does.
    """

    name: str
    open: Callable[[], BinaryIO]
    stamp: tuple[int, ...] = ()

    @classmethod
    def at(cls, path: Path) -> "File":
        """Return the file at a path."""
        stat_ = path.stat()
        return cls(from_file(path.as_posix()), partial(_open, path), (stat_.st_size, stat_.st_mtime_ns))


@dataclass(frozen=True)
class Files:
    """All files of a data set, but hidden ones and what file managers leave behind.

    Attributes:
        where: the folder or the archive, as a message has it.
        files: in the order of their names, folder by folder.
        folders: the names of all folders, empty ones too.
        problems: what must not be opened, by name, and why.
    """

    where: str
    files: tuple[File, ...]
    folders: frozenset[str]
    problems: dict[str, str]


def _open(path: Path) -> BinaryIO:
    return path.open("rb")


def hidden(name: str) -> bool:
    """Return whether a file or folder of this name is none that a person put there."""
    return name.startswith(".") or name.lower() in LEFT_BEHIND


# -- folders -----------------------------------------------------------------------------------------------------------


def of_folder(root: Path) -> Files:
    """List the files of a folder and of all folders in it.

    Links must stay inside; one to a folder above itself is not followed, so that no loop is.

    Raises:
        DataError: if a folder is a link out of `root`, or two beside each other have one name in two spellings.
    """
    found: list[tuple[tuple[str, ...], File]] = []
    folders: set[str] = set()
    problems: dict[str, str] = {}
    waiting: list[tuple[Path, tuple[str, ...]]] = [(root, ())]
    while waiting:
        folder, parts = waiting.pop()
        for path in _inside(root, folder):
            named = (*parts, from_file(path.name))
            name = "/".join(named)
            if path.is_dir() and not (path.is_symlink() and _above(folder, path)):
                folders.add(name)
                waiting.append((path, named))
            elif problem := _problem(root, path):
                problems[name] = problem
            else:
                found.append(((*parts, path.name), File.at(path)._replace(name=name)))
    return Files(
        str(root), tuple(file for _, file in sorted(found, key=lambda one: one[0])), frozenset(folders), problems
    )


def _inside(root: Path, folder: Path) -> list[Path]:
    """Return what a folder holds, after a look at the folders among it."""
    with os.scandir(folder) as entries:
        children = [Path(entry.path) for entry in entries if not hidden(entry.name)]
    spelled: dict[str, Path] = {}
    for child in sorted(child for child in children if child.is_dir()):
        if child.is_symlink() and not _stays_inside(root, child):
            raise DataError(f"{child} is a link out of the data folder.", "Put the images there, or name its target.")
        first = spelled.setdefault(from_file(child.name), child)
        if first is not child:
            names = listed([ascii(path.name) for path in (first, child)])
            raise DataError(f"{folder} has two folders of one name, spelled differently: {names}.", "Merge them.")
    return children


def _problem(root: Path, path: Path) -> str | None:
    """Return why what is no folder must not be opened, None if it may be."""
    if path.is_symlink() and not _stays_inside(root, path):
        return "a link out of the data folder"
    if path.is_dir():
        return "a link to a folder above it"
    # Neither a broken link nor a pipe, which would be waited for for ever.
    return None if path.is_file() else "not a file"


def _stays_inside(root: Path, path: Path) -> bool:
    # os.path.realpath, unlike Path.resolve, accepts loops.
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root))


def _above(folder: Path, link: Path) -> bool:
    return Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(link))


# -- archives ----------------------------------------------------------------------------------------------------------


def of_archive(path: Path) -> Files:
    """List the files of a `.zip`, `.tar` or `.tar.gz`.

    Raises:
        DataError: if it is encrypted, leads out of itself, or would unpack to far more than real images do.
    """
    with path.open("rb") as file:
        is_zip = file.read(2) == ZIP_MAGIC
    stamp = path.stat().st_size, path.stat().st_mtime_ns
    found: list[File] = []
    folders: set[str] = set()
    problems: dict[str, str] = {}
    for member in _of_zip(path) if is_zip else _of_tar(path):
        parts = tuple(from_file(part) for part in PurePosixPath(member.name).parts)
        # The attributes that macOS puts beside files begin with a dot.
        if not parts or any(map(hidden, parts)):
            continue
        name = "/".join(parts)
        inside = parts if member.is_folder else parts[:-1]
        folders |= {"/".join(inside[:depth]) for depth in range(1, len(inside) + 1)}
        if member.problem:
            problems[name] = member.problem
        elif not member.is_folder:
            found.append(File(name, member.open, (*stamp, *member.stamp)))
    found.sort(key=lambda file: file.name.split("/"))
    return Files(str(path), tuple(found), frozenset(folders), problems)


class _Member(NamedTuple):
    name: str
    is_folder: bool
    open: Callable[[], BinaryIO]
    stamp: tuple[int, ...] = ()
    problem: str | None = None


def _of_tar(path: Path) -> Iterator[_Member]:
    for member in containers.members(path):
        yield _Member(member.name, member.is_folder, lambda read=member.read: BytesIO(read()))  # type: ignore[misc]


def _of_zip(path: Path) -> Iterator[_Member]:
    archive = zipfile.ZipFile(path)  # stays open for as long as one of its files may be opened
    containers.refuse_bomb(path, archive)
    if encrypted := [entry.filename for entry in archive.infolist() if entry.flag_bits & 1]:
        raise DataError(f"{path} is encrypted: {short(encrypted[0])}.", "Unpack it, and give the folder.")
    for entry in archive.infolist():
        containers.require_inside(entry.filename, path)
        kind = stat.S_IFMT(entry.external_attr >> 16)
        problem = "a link" if kind == stat.S_IFLNK else "too large" if entry.file_size > MAX_BYTES else None
        yield _Member(entry.filename, entry.is_dir(), partial(_unzipped, archive, entry), (entry.CRC,), problem)


def _unzipped(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> BinaryIO:
    return BytesIO(archive.read(entry))
