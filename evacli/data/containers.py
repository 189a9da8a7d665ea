"""Files by name and folder, out of a directory or an archive alike; nothing is ever unpacked to disk."""

import gzip
import io
import mmap
import tarfile
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple, Self

from evacli.data.hostile import MAX_BYTES
from evacli.errors import DataError
from evacli.messages import short

MAX_MEMBERS = 2_000_000
# What a member has beside its plain header, such as a long name: a few hundred bytes where macOS or Python made the
# archive. Python before 3.11.10 and 3.12.6 takes a time that grows as the square of it (CVE-2024-6232).
MAX_HEADER_BYTES = 8 * 2**10
MAX_HEADERS_BYTES = 2**20  # of all members together, and for each member beside
HEADERS_OF_MEMBER = 2**11
EXTENDED = {
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
}
FIX = "Make the archive anew, or give the folder that it was made of."
GZIP_MAGIC = b"\x1f\x8b"
# A file may unpack to this, or to so many times its own size: real images do not compress further, bombs do.
HARMLESS = 2**30
MOST_COMPRESSED = 20


class File(NamedTuple):
    """A file of `size` bytes, which `read` returns."""

    size: int
    read: Callable[[], bytes]


Files = Mapping[str, File]


def directories(path: Path) -> dict[str, Files]:
    """Return the files directly in `path` and in each of its direct subfolders, but those that may not be entered."""
    found = {str(path): _files(path)}
    for child in sorted(child for child in path.iterdir() if child.is_dir()):
        with suppress(PermissionError):  # such as the lost+found of a disk
            found[str(child)] = _files(child)
    return found


def _files(folder: Path) -> Files:
    # is_file keeps pipes and devices out, which would never end.
    return {
        child.name: File(child.stat().st_size, partial(_content, child))
        for child in folder.iterdir()
        if child.is_file()
    }


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        return _capped(file.read(MAX_BYTES + 1), path)


def _capped(content: bytes, path: Path) -> bytes:
    if len(content) > MAX_BYTES:
        raise DataError(f"{path} holds more than {MAX_BYTES // 2**20} MB, more than any CIFAR file.")
    return content


def refuse_bomb(path: Path, archive: zipfile.ZipFile) -> None:
    """Raise DataError if a zip file would unpack to more than any real data."""
    unpacked = sum(entry.file_size for entry in archive.infolist())
    if unpacked > max(HARMLESS, MOST_COMPRESSED * path.stat().st_size):
        raise DataError(f"{path} would unpack to {unpacked / 2**30:.1f} GB, over {MOST_COMPRESSED} times its size.")


def archived(path: Path) -> dict[str, Files]:
    """Return the files of a `.tar` or `.tar.gz`, by folder.

    Raises:
        DataError: see `members`.
    """
    found: dict[str, dict[str, File]] = defaultdict(dict)
    for member in members(path):
        name = PurePosixPath(member.name)
        if not (member.is_folder or _is_of_macos(name)):
            found[str(path / short(name.parent))][name.name] = File(member.size, member.read)
    return dict(found)


class Member(NamedTuple):
    """A file or a folder in a `.tar`."""

    name: str
    is_folder: bool
    size: int
    read: Callable[[], bytes]


def members(path: Path) -> Iterator[Member]:
    """Yield what a `.tar` or `.tar.gz` holds.

    Raises:
        DataError: if it holds links, devices or paths that lead out of it, or, compressed, unpacks to more than
            `MAX_BYTES`.
    """
    file, content = _plain(path)
    with file, tarfile.open(fileobj=file, mode="r:", tarinfo=_careful(file, content, path)) as tar:
        for count, member in enumerate(tar):
            _check_member(member, count, path)
            yield Member(
                member.name, member.isdir(), member.size, partial(_part, content, member.offset_data, member.size)
            )


def _careful(file: BinaryIO, content: bytes | mmap.mmap, path: Path) -> type[tarfile.TarInfo]:
    """Return what tarfile is to read headers with: before it interprets one, what that may cost is known."""
    left = MAX_HEADERS_BYTES

    class Careful(tarfile.TarInfo):
        @classmethod
        def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
            nonlocal left
            header = super().frombuf(buf, encoding, errors)
            if header.type in EXTENDED:
                left -= tarfile.BLOCKSIZE + header.size
                if not 0 <= header.size <= MAX_HEADER_BYTES or left < 0:
                    raise DataError(f"{path} has headers that are too large.", FIX)
                start = file.tell()
                # The map of a sparse file may be as long as it likes.
                sparse = b"GNU.sparse" in content[start : start + header.size]
            else:
                left += HEADERS_OF_MEMBER
                sparse = header.type == tarfile.GNUTYPE_SPARSE
            if sparse or header.size < 0:
                raise DataError(f"{path} holds {short(header.name)}, which is no plain file.", FIX)
            return header

    return Careful


def _is_of_macos(name: PurePosixPath) -> bool:
    # Attributes of files, which macOS puts beside them under nearly the same names.
    return name.name.startswith("._") or "__MACOSX" in name.parts


def _part(content: bytes | mmap.mmap, start: int, length: int) -> bytes:
    return content[start : start + length]


def _plain(path: Path) -> tuple[BinaryIO, bytes | mmap.mmap]:
    """Return the archive without its compression: as a file, and as what its parts are cut out of."""
    file = path.open("rb")
    zipped = file.read(2) == GZIP_MAGIC
    file.seek(0)
    if not zipped:
        return file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    # Limited before tarfile sees it, so that no header, however large it says to be, takes more memory than this.
    with file, gzip.open(file) as plain:
        content = plain.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise DataError(
            f"{path} unpacks to more than {MAX_BYTES // 2**20} MB.",
            "Unpack it and give the folder, or make it a .zip or .tar, which need not be unpacked whole.",
        )
    return io.BytesIO(content), content


def _check_member(member: tarfile.TarInfo, count: int, path: Path) -> None:
    require_inside(member.name, path)
    # An extended header may have changed the size again.
    if not (member.isfile() or member.isdir()) or member.issparse() or member.size < 0:
        raise DataError(f"{path} holds {short(member.name)}, which is no plain file.", FIX)
    if count >= MAX_MEMBERS:
        raise DataError(f"{path} holds more than {MAX_MEMBERS:,} files.", FIX)


def require_inside(member: str, path: Path) -> None:
    """Raise DataError if the name of a member leads out of the archive at `path`."""
    name = PurePosixPath(member)
    if name.is_absolute() or ".." in name.parts:
        raise DataError(f"{path} holds {short(member)}, which leads out of the archive.", FIX)
