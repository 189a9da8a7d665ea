"""NumPy archives with `x_train`, `y_train`, `x_test`, `y_test` and perhaps `class_names`."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evacli.data.arrays import indices, rgb
from evacli.data.hostile import reading
from evacli.data.images import InMemory
from evacli.data.types import Source, Split
from evacli.errors import DataError

KEYS = ("x_train", "y_train", "x_test", "y_test")
NAMES = "class_names"
# A file may unpack to this, or to so many times its own size: real images do not compress further, bombs do.
HARMLESS = 2**30
MOST_COMPRESSED = 20
FIX = f"Save it with np.savez and the arrays {', '.join(KEYS)}."


def read(path: Path) -> Source:
    """Loads the archive; no pickle in it is touched.

    Raises:
        DataError: if an array is missing, or is not uint8 images or integer labels.
    """
    with reading(path, FIX):
        _refuse_bomb(path)
        with np.load(path, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in (*KEYS, NAMES) if key in archive.files}
            _require_keys(path, archive.files)
    train, test = (_split(arrays, path, role) for role in ("train", "test"))
    return Source(train, test, _class_names(arrays, path, train, test))


def _refuse_bomb(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
    if unpacked > max(HARMLESS, MOST_COMPRESSED * path.stat().st_size):
        raise DataError(f"{path} would unpack to {unpacked / 2**30:.1f} GB, over {MOST_COMPRESSED} times its size.")


def _require_keys(path: Path, found: list[str]) -> None:
    if missing := [key for key in KEYS if key not in found]:
        raise DataError(f"{path} lacks {', '.join(missing)}.", FIX)


def _split(arrays: Mapping[str, NDArray[Any]], path: Path, role: str) -> Split:
    images, labels = arrays[f"x_{role}"], arrays[f"y_{role}"]
    _check_images(images, f"x_{role} in {path}")
    _check_labels(labels, f"y_{role} in {path}")
    return Split(InMemory(rgb(images)), labels.reshape(-1).astype(np.int64), indices(len(images)))


def _check_images(images: NDArray[Any], what: str) -> None:
    if images.dtype != np.uint8:
        raise DataError(
            f"{what} is {images.dtype}, expected uint8 from 0 to 255.",
            "Save the images as they were, or as (x * 255).round().astype('uint8') if they go from 0 to 1.",
        )
    if not (images.ndim == 3 or (images.ndim == 4 and images.shape[-1] in (1, 3))):
        raise DataError(f"{what} has the shape {images.shape}, expected (N, H, W), (N, H, W, 1) or (N, H, W, 3).")


def _check_labels(labels: NDArray[Any], what: str) -> None:
    is_column = labels.ndim == 1 or (labels.ndim == 2 and labels.shape[1] == 1)
    if labels.dtype.kind not in "iu" or not is_column or labels.size == 0:
        raise DataError(
            f"{what} is {labels.dtype} of shape {labels.shape}, expected integers of shape (N,) or (N, 1).",
            "Save class numbers from 0; for one-hot rows y.argmax(axis=1).",
        )


def _class_names(arrays: Mapping[str, NDArray[Any]], path: Path, train: Split, test: Split) -> tuple[str, ...]:
    if NAMES in arrays:
        names = arrays[NAMES]
        if names.ndim != 1 or names.dtype.kind != "U":
            raise DataError(f"{NAMES} in {path} is {names.dtype} of shape {names.shape}, expected text of shape (C,).")
        return tuple(names.tolist())
    highest = int(max(train.labels.max(), test.labels.max()))
    # Each class needs a training image, and a number such as 10**15 must not be counted up to.
    if highest >= len(train):
        raise DataError(
            f"The labels in {path} go up to {highest}, too many classes for {len(train)} training images.",
            "Number the classes from 0 without gaps.",
        )
    return tuple(indices(highest + 1))
