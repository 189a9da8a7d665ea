"""Decoded pictures on disk, where they do not fit into memory; all runs of the same data share them.

An entry is a folder: `images.npy`, and `index.json`, which says what they are. It appears whole, in one step.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any

import msgspec
import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from evacli import console
from evacli.data.files import File
from evacli.data.images import Chosen, Images, Indices, InMemory
from evacli.errors import MemoryShort
from evacli.formats import counted

VARIABLE, LIMIT_VARIABLE = "EVACLI_CACHE", "EVACLI_CACHE_GB"
DEFAULT_LIMIT = 50.0  # GB
IMAGES, INDEX = "images.npy", "index.json"
FORMAT = 1  # of an entry and of how pictures are decoded; others are made anew
GB = 2**30


class Index(msgspec.Struct, frozen=True, kw_only=True):
    """What an entry holds.

    Attributes:
        data: the folder, archive or list that the pictures come from.
        good: of each picture whether it could be decoded, in the order of the entry.
        problems: the others by name, and the reason why.
    """

    data: str
    good: list[bool]
    problems: dict[str, str]


@dataclass(frozen=True)
class Mapped(InMemory):
    """Pictures in a file on disk, of which the system keeps in memory what it has room for.

    Attributes:
        array: (N, H, W, 3) uint8, RGB.
        entry: the folder of the file.
        first: where in the file they begin.
    """

    entry: Path
    first: int = 0

    def read(self, indices: Indices) -> NDArray[np.uint8]:
        """Copy the pictures at `indices` into memory."""
        return np.array(self.array[indices])

    def take(self, indices: Indices) -> Images:
        """Leave the pictures where they are."""
        return Chosen(self, np.asarray(indices))


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry as a person is told of it.

    Attributes:
        path: its folder.
        data: where its pictures come from.
        images: how many there are.
        shape: (H, W, 3) of each.
        bytes: on disk.
        used: when it was last used, in seconds since 1970.
    """

    path: str
    data: str
    images: int
    shape: tuple[int, ...]
    bytes: int
    used: float


def folder() -> Path:
    """Return where entries lie: the folder that the variable EVACLI_CACHE names, or the user's own for caches."""
    if named := os.environ.get(VARIABLE):
        return Path(named)
    from platformdirs import user_cache_path

    return user_cache_path("evacli")


def limit() -> float:
    """Return how many bytes all entries together may take: the variable EVACLI_CACHE_GB."""
    try:
        return float(os.environ[LIMIT_VARIABLE]) * GB
    except (KeyError, ValueError):
        return DEFAULT_LIMIT * GB


def room() -> float:
    """Return how many bytes a new entry may take: those of the limit that the disk has free."""
    existing = next(place for place in (folder(), *folder().absolute().parents) if place.exists())
    return min(limit(), shutil.disk_usage(existing).free)


def key(listings: Mapping[str, Sequence[File]], settings: Sequence[object]) -> str:
    """Return what entries of the same files, decoded in the same way, have in common.

    Args:
        listings: the files of each split.
        settings: whatever else the pixels depend on.
    """
    digest = hashlib.blake2b(repr((FORMAT, *settings)).encode(), digest_size=16)
    for role, files in listings.items():
        digest.update(repr((role, len(files))).encode())
        for file in files:
            digest.update(repr((file.name, file.stamp)).encode())
    return digest.hexdigest()


def find(named: str, kind: Any = np.uint8) -> tuple[NDArray[Any], Path, Index] | None:
    """Return the pictures, the folder and the index of an entry, None if there is none of this kind of numbers."""
    entry = folder() / named
    try:
        index = msgspec.json.decode((entry / INDEX).read_bytes(), type=Index)
        images = np.load(entry / IMAGES, mmap_mode="r", allow_pickle=False)
        os.utime(entry / INDEX)
    except (OSError, ValueError, msgspec.DecodeError):
        return None
    whole = images.dtype == kind and images.ndim == 4 and len(images) == len(index.good)
    return (images, entry, index) if whole else None


@contextmanager
def make(
    named: str, data: str, shape: tuple[int, ...], kind: Any = np.uint8, told: str = ""
) -> Iterator[tuple[NDArray[Any], Callable[[Index], None]]]:
    """Make room for an entry.

    Args:
        named: how it will be found.
        data: where the pictures come from.
        shape: of the array.
        kind: of its numbers.
        told: what is said of it, up to the folder; by default that the images do not fit into memory.

    Yields:
        An array of `shape` to fill, and what is to be called when it is filled; without that, nothing is kept.

    Raises:
        MemoryShort: if there is no room, within the limit or on the disk.
    """
    place = folder()
    needed = int(np.prod(shape, dtype=object)) * np.dtype(kind).itemsize
    with _reporting(place, needed):
        place.mkdir(parents=True, exist_ok=True)
        with FileLock(place / ".lock"):
            if find(named, kind) is None:
                shutil.rmtree(place / named, ignore_errors=True)  # it is damaged, if it is there
            _make_room(place, needed)
            temporary = place / f".{named}.{os.getpid()}-{token_hex(4)}.tmp"
            temporary.mkdir()
    told = told or f"{counted(shape[0], 'image')} of {data} do not fit into memory: decoded to"
    console.note(f"{told} {place} ({needed / GB:.1f} GB), once for all runs; see evacli cache.")
    try:
        with _reporting(place, needed):
            images = np.lib.format.open_memmap(temporary / IMAGES, "w+", kind, shape)
            _reserve(temporary / IMAGES)

        def finish(index: Index) -> None:
            with _reporting(place, needed):
                images.flush()
                (temporary / INDEX).write_bytes(msgspec.json.encode(index))
                with suppress(OSError):  # another process was as fast
                    temporary.rename(place / named)

        yield images, finish
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def _reporting(place: Path, needed: int) -> Iterator[None]:
    try:
        yield
    except OSError as e:
        raise MemoryShort(
            f"The images take {needed / GB:.1f} GB in {place}: {e.strerror or e}.",
            f"Free some space, name another folder with {VARIABLE}, or use a smaller --image-size.",
        ) from e


def _reserve(path: Path) -> None:
    """Take the space on the disk now: writing to a mapped file for which there is none would kill the process."""
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def _make_room(place: Path, needed: int) -> None:
    """Remove the entries that were not used for longest until `needed` bytes more keep to the limit."""
    if needed > limit():
        raise MemoryShort(
            f"The images take {needed / GB:.1f} GB, more than the {limit() / GB:g} GB that decoded images may take.",
            f"Set {LIMIT_VARIABLE} to more, or use a smaller --image-size or --limit-train.",
        )
    kept = sorted(entries(), key=lambda entry: entry.used)
    while kept and sum(entry.bytes for entry in kept) + needed > limit():
        oldest = kept.pop(0)
        console.note(f"Removed from {place}, to stay below {limit() / GB:g} GB: the images of {oldest.data}.")
        shutil.rmtree(oldest.path, ignore_errors=True)


def entries() -> list[Entry]:
    """List the entries, the one used last first."""
    found = []
    for index in folder().glob(f"*/{INDEX}"):
        if stored := _described(index):
            found.append(stored)
    return sorted(found, key=lambda entry: -entry.used)


def _described(index: Path) -> Entry | None:
    try:
        used = index.stat().st_mtime
        data = msgspec.json.decode(index.read_bytes(), type=Index).data
        images = np.load(index.with_name(IMAGES), mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, msgspec.DecodeError):
        return None
    entry = index.parent
    size = sum(file.stat().st_size for file in entry.iterdir())
    return Entry(path=str(entry), data=data, images=len(images), shape=images.shape[1:], bytes=size, used=used)


def clear() -> int:
    """Remove all entries, and what killed processes left; return how many bytes they took."""
    freed = sum(entry.bytes for entry in entries())
    with suppress(FileNotFoundError):
        for child in folder().iterdir():
            if child.is_dir() and ((child / INDEX).exists() or (child / IMAGES).exists()):
                shutil.rmtree(child, ignore_errors=True)
    return freed


# -- what is known of an entry's pictures ------------------------------------------------------------------------------


def remembered(images: Sequence[Images], also: Sequence[Any], compute: Callable[[], Any], kind: type[Any]) -> Any:
    """Return what was computed from pictures before, if all lie in one entry; else compute it, and keep it there.

    Args:
        images: the pictures that it depends on.
        also: whatever else it depends on: arrays and texts.
        compute: gives it.
        kind: its type, a NamedTuple of texts and numbers.
    """
    places = [_places(one) for one in images]
    homes = {place[0] if place else None for place in places}
    home = homes.pop()
    if homes or home is None:
        return compute()
    digest = hashlib.blake2b(digest_size=16)
    for part in (*(place[1] for place in places if place), *also):
        content = part.tobytes() if isinstance(part, np.ndarray) else repr(part).encode("utf-8", "surrogatepass")
        digest.update(len(content).to_bytes(8, "little") + content)
    note = home / f"{kind.__name__.lower()}-{digest.hexdigest()}.json"
    with suppress(OSError, ValueError, msgspec.ValidationError):
        return msgspec.convert(json.loads(note.read_bytes()), kind)
    found = compute()
    with suppress(OSError):  # then it is computed again
        temporary = note.with_name(f".{note.name}.{token_hex(4)}")
        temporary.write_bytes(msgspec.json.encode(found))
        temporary.replace(note)
    return found


def _places(images: Images) -> tuple[Path, NDArray[np.int64]] | None:
    """Return the entry that pictures lie in, and where."""
    if isinstance(images, Mapped):
        return images.entry, np.arange(images.first, images.first + len(images), dtype=np.int64)
    if isinstance(images, Chosen) and (place := _places(images.images)):
        return place[0], place[1][images.indices]
    return None
