"""CIFAR-10 and CIFAR-100 as their authors publish them: Python batches and the binary version.

Format: A. Krizhevsky (2009), https://www.cs.toronto.edu/~kriz/cifar.html.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from evacli import memory
from evacli.data import pickles
from evacli.data.containers import Files
from evacli.data.hostile import reading
from evacli.data.images import InMemory
from evacli.data.types import Source, Split
from evacli.errors import DataError
from evacli.formats import counted
from evacli.messages import listed, short

SIDE = 32
ROW = 3 * SIDE * SIDE  # red, green and blue planes, each row by row


@dataclass(frozen=True)
class Batch:
    """One file's images: (N, 3072) uint8, their N labels, and their names if the format has them."""

    rows: NDArray[np.uint8]
    labels: NDArray[np.int64]
    names: list[str] | None = None


@dataclass(frozen=True)
class Meta:
    """The class names, and how many images each batch must hold if the format says so."""

    class_names: tuple[str, ...]
    batch_size: int | None = None


@dataclass(frozen=True)
class Layout:
    """The files of one published version and how to read them."""

    title: str
    train: tuple[str, ...]
    test: str
    meta: str
    parse_batch: Callable[[bytes], Batch]
    parse_meta: Callable[[bytes], Meta]

    def fits(self, files: Files) -> bool:
        """Tell whether the files look like this version, complete or not."""
        return sum(name in files for name in self.files) >= 2

    @property
    def files(self) -> tuple[str, ...]:
        """The names of all its files."""
        return (*self.train, self.test, self.meta)


def layout(files: Files) -> Layout | None:
    """Return the version of CIFAR that these files are, None if they are something else."""
    return next((candidate for candidate in LAYOUTS if candidate.fits(files)), None)


def read(files: Files, where: str) -> Source:
    """Load the version of CIFAR that `files` from the folder `where` hold.

    Raises:
        DataError: naming the file that is missing, garbled, or not as long as it should be.
        MemoryShort: if there is too little memory for the images.
    """
    version = layout(files)
    if version is None:
        raise DataError(f"{where} holds no CIFAR batches.")
    if missing := [name for name in version.files if name not in files]:
        raise DataError(f"{where} holds {version.title} but lacks {', '.join(missing)}.", "Unpack the archive again.")
    stored = sum(files[name].size for name in version.files)
    memory.require(2 * stored, f"{where} takes", memory.MORE)  # as they are stored, and as they are used
    with reading(f"{where}/{version.meta}"):
        meta = version.parse_meta(files[version.meta].read())
        if len(set(meta.class_names)) < len(meta.class_names):
            raise ValueError(f"it gives several classes the same name: {short(listed(_repeated(meta.class_names)))}")
        if len(meta.class_names) < 2:
            raise ValueError(f"it names {counted(len(meta.class_names), 'class')}, at least two are needed")
    load = partial(_batch, version, meta, files, where)
    return Source(_split([load(name) for name in version.train]), _split([load(version.test)]), meta.class_names)


def _repeated(names: tuple[str, ...]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]


def _batch(version: Layout, meta: Meta, files: Files, where: str, name: str) -> Batch:
    with reading(f"{where}/{name}"):
        batch = version.parse_batch(files[name].read())
        count = len(batch.rows)
        names = count if batch.names is None else len(batch.names)
        if not count == len(batch.labels) == names:
            raise ValueError(
                f"it has {counted(count, 'image')}, {counted(len(batch.labels), 'label')} and {counted(names, 'name')}"
            )
        if meta.batch_size not in (None, count):
            raise ValueError(f"it has {counted(count, 'image')}, {version.meta} says {meta.batch_size}")
        if count == 0:
            raise ValueError("it has no images")
        if not 0 <= batch.labels.min() <= batch.labels.max() < len(meta.class_names):
            raise ValueError(f"it has labels outside 0 to {len(meta.class_names) - 1}")
    return batch


def _split(batches: list[Batch]) -> Split:
    labels = np.concatenate([batch.labels for batch in batches])
    images = np.empty((len(labels), SIDE, SIDE, 3), np.uint8)
    start = 0
    for batch in batches:
        planes = batch.rows.reshape(-1, 3, SIDE, SIDE)
        images[start : start + len(planes)] = planes.transpose(0, 2, 3, 1)
        start += len(planes)
    named = [name for batch in batches for name in batch.names or ()]
    return Split(InMemory(images), labels, named or [str(i) for i in range(len(labels))])


def _pickled_batch(content: bytes, label_key: str) -> Batch:
    batch = _dictionary(content)
    rows, labels, names = pickles.pixels(batch["data"]), batch[label_key], batch.get("filenames")
    if rows.ndim != 2 or rows.shape[1] != ROW:
        raise ValueError(f"its images are not rows of {ROW} bytes")
    # bool is an int that numbers no class.
    if not (isinstance(labels, list) and all(type(label) is int for label in labels)):
        raise ValueError("its labels are not a list of integers")
    return Batch(rows, np.array(labels, np.int64), None if names is None else _texts(names))


def _pickled_meta(content: bytes, names_key: str) -> Meta:
    meta = _dictionary(content)
    size = meta.get("num_cases_per_batch")
    return Meta(tuple(_texts(meta[names_key])), size if type(size) is int else None)


def _dictionary(content: bytes) -> Mapping[str, object]:
    value = pickles.loads(content)
    if not isinstance(value, dict):
        raise ValueError("it holds no dictionary")
    return value


def _texts(values: object) -> list[str]:
    if not isinstance(values, list):
        raise ValueError("its names are not a list")
    return [pickles.text(value) for value in values]


def _binary_batch(content: bytes, label_bytes: int) -> Batch:
    length = label_bytes + ROW
    if len(content) % length:
        raise ValueError(f"its length of {len(content)} bytes is not a multiple of {length}")
    records = np.frombuffer(content, np.uint8).reshape(-1, length)
    # CIFAR-100 has the coarse label first.
    return Batch(records[:, label_bytes:], records[:, label_bytes - 1].astype(np.int64))


def _lines(content: bytes) -> Meta:
    return Meta(tuple(line for line in content.decode("utf-8", "replace").splitlines() if line.strip()))


LAYOUTS = (
    Layout(
        "CIFAR-10's Python version",
        tuple(f"data_batch_{i}" for i in range(1, 6)),
        "test_batch",
        "batches.meta",
        partial(_pickled_batch, label_key="labels"),
        partial(_pickled_meta, names_key="label_names"),
    ),
    Layout(
        "CIFAR-100's Python version",
        ("train",),
        "test",
        "meta",
        partial(_pickled_batch, label_key="fine_labels"),
        partial(_pickled_meta, names_key="fine_label_names"),
    ),
    Layout(
        "CIFAR-10's binary version",
        tuple(f"data_batch_{i}.bin" for i in range(1, 6)),
        "test_batch.bin",
        "batches.meta.txt",
        partial(_binary_batch, label_bytes=1),
        _lines,
    ),
    Layout(
        "CIFAR-100's binary version",
        ("train.bin",),
        "test.bin",
        "fine_label_names.txt",
        partial(_binary_batch, label_bytes=2),
        _lines,
    ),
)
