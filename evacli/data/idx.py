"""MNIST's IDX files and their kin (Fashion-MNIST, KMNIST, EMNIST), packed or not.

Format: Y. LeCun, C. Cortes & C. Burges, http://yann.lecun.com/exdb/mnist/.
"""

import gzip
import re
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evacli.data.arrays import indices, rgb
from evacli.data.containers import GZIP_MAGIC
from evacli.data.hostile import MAX_BYTES, reading
from evacli.data.images import InMemory
from evacli.data.layout import TEST, TRAIN
from evacli.data.types import Source, Split
from evacli.errors import DataError
from evacli.messages import listed

# Such as train-images-idx3-ubyte, t10k-labels.idx1-ubyte.gz, emnist-letters-test-images-idx3-ubyte.gz.
_NAME = re.compile(r"(?P<set>.*?)-?(?P<role>train|t10k|test)-(?P<kind>images|labels)[-.]idx[13]-ubyte(\.gz)?", re.I)
_ROLES = {"train": TRAIN, "t10k": TEST, "test": TEST}
FIX = "Take the official files: images and labels, of training and of tests."


def is_idx(path: Path) -> bool:
    """Return whether a file is one of a set, by its name."""
    return _NAME.fullmatch(path.name) is not None


def sets(folder: Path) -> list[str]:
    """Return the names of the sets in a folder: one without a name for MNIST's, several for EMNIST's."""
    return sorted({match["set"] for child in folder.iterdir() if (match := _NAME.fullmatch(child.name))})


def read(path: Path) -> Source:
    """Load the set in a folder, or that of one of its files.

    Raises:
        DataError: if there are several sets, or files are missing or garbled.
    """
    wanted, files = _chosen(path)
    images, labels = {}, {}
    for role in (TRAIN, TEST):
        images[role] = _array(files[role, "images"], 3)
        labels[role] = _array(files[role, "labels"], 1)
        if len(images[role]) != len(labels[role]):
            raise DataError(
                f"{files[role, 'images']} has {len(images[role]):,} images but {len(labels[role]):,} labels.", FIX
            )
    if wanted.lower().startswith("emnist"):
        images = {role: array.transpose(0, 2, 1) for role, array in images.items()}  # stored column by column
    # EMNIST's letters are numbered from 1.
    numbers = np.unique(labels[TRAIN])
    if not np.isin(labels[TEST], numbers).all():
        raise DataError(f"{path} has test labels that no training image has.", FIX)
    splits = {
        role: Split(
            InMemory(rgb(np.ascontiguousarray(images[role]))),
            np.searchsorted(numbers, labels[role]).astype(np.int64),
            indices(len(labels[role])),
        )
        for role in images
    }
    said = f"{path} is understood as IDX files like MNIST's, whose images are mirrored only with --flip"
    return Source(splits[TRAIN], splits[TEST], tuple(map(str, numbers)), flippable=False, said=said)


def _chosen(path: Path) -> tuple[str, dict[tuple[str, str], Path]]:
    """Return the name of the set that is meant, and the file of each split and kind."""
    if path.is_dir():
        folder, found = path, sets(path)
        if len(found) > 1:
            raise DataError(f"{folder} holds several sets: {listed(found)}.", "Name a file of one of them with --data.")
        wanted = found[0]
    else:
        match = _NAME.fullmatch(path.name)
        folder, wanted = path.parent, match["set"] if match else ""
    files: dict[tuple[str, str], Path] = {}
    for child in sorted(folder.iterdir()):
        match = _NAME.fullmatch(child.name)
        if match and match["set"] == wanted:
            files.setdefault((_ROLES[match["role"].lower()], match["kind"].lower()), child)
    needed = [(role, kind) for role in (TRAIN, TEST) for kind in ("images", "labels")]
    if missing := [f"the {role} {kind}" for role, kind in needed if (role, kind) not in files]:
        raise DataError(f"{folder} lacks {listed(missing)}.", FIX)
    return wanted, files


def _array(path: Path, dimensions: int) -> NDArray[np.uint8]:
    with reading(path, FIX):
        with path.open("rb") as file:
            packed = file.read(2) == GZIP_MAGIC
            file.seek(0)
            with gzip.open(file) if packed else file as plain:
                content = plain.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise ValueError(f"it holds more than {MAX_BYTES // 2**20} MB")
        if len(content) < 4 + 4 * dimensions:
            raise ValueError("it is too short")
        zeros, kind, found, *shape = struct.unpack_from(f">HBB{dimensions}I", content)
        if zeros or kind != 8 or found != dimensions:
            raise ValueError(f"it holds no bytes in {dimensions} dimensions")
        start, expected = 4 + 4 * dimensions, int(np.prod(shape, dtype=object))
        if len(content) - start != expected:
            raise ValueError(f"it has {len(content) - start:,} bytes where its header says {expected:,}")
        return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
