"""NumPy archives with `x_train`, `y_train`, `x_test`, `y_test` and perhaps `class_names`."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evacli.data.arrays import indices, rgb
from evacli.data.checks import MIN_SIDE
from evacli.data.hostile import reading
from evacli.data.images import InMemory
from evacli.data.types import Source, Split
from evacli.errors import DataError
from evacli.messages import short

KEYS = ("x_train", "y_train", "x_test", "y_test")
NAMES = "class_names"
EXPECTED = {
    **dict.fromkeys(("x_train", "x_test"), "Expected: uint8 images from 0 to 255, (N, H, W), (N, H, W, 1 or 3)."),
    **dict.fromkeys(("y_train", "y_test"), "Expected: class numbers from 0, integers of shape (N,) or (N, 1)."),
    NAMES: "Expected: text of shape (C,).",
}
# A file may unpack to this, or to so many times its own size: real images do not compress further, bombs do.
HARMLESS = 2**30
MOST_COMPRESSED = 20
FIX = f"Save it with np.savez and the arrays {', '.join(KEYS)}."
FIX_PART = f"Save it with np.savez and the arrays x_test, y_test and {NAMES}."


def read(path: Path) -> Source:
    """Load the archive; no pickle in it is touched.

    Raises:
        DataError: if an array is missing, or is not uint8 images or integer labels.
    """
    with reading(path, FIX):
        _refuse_bomb(path)
        with np.load(path, allow_pickle=False) as archive:
            _require_keys(path, archive.files, KEYS, FIX)
            arrays = {key: _array(archive, key, path) for key in (*KEYS, NAMES) if key in archive.files}
    train, test = (_split(arrays, path, role) for role in ("train", "test"))
    return Source(train, test, _class_names(arrays, path, train, test))


def read_part(path: Path) -> tuple[str, Split, NDArray[np.str_] | None]:
    """Load the part of an archive that is to be evaluated: the test arrays, or, without them, the training arrays.

    Returns:
        "test" or "train", the images, and the names of the classes, if the archive has some. They could be any number.

    Raises:
        DataError: as in `read`.
    """
    with reading(path, FIX_PART):
        _refuse_bomb(path)
        with np.load(path, allow_pickle=False) as archive:
            part = "train" if "x_train" in archive.files and "x_test" not in archive.files else "test"
            keys = f"x_{part}", f"y_{part}"
            _require_keys(path, archive.files, keys, FIX_PART)
            arrays = {key: _array(archive, key, path) for key in (*keys, NAMES) if key in archive.files}
    split = _split(arrays, path, part)
    if NAMES not in arrays:
        return part, split, None
    names = _names(arrays[NAMES], path)
    if split.labels.max() >= len(names):
        raise DataError(f"The labels in {path} go up to {split.labels.max()}, but it names {len(names)} classes.")
    return part, split, names


def _array(archive: Mapping[str, Any], key: str, path: Path) -> NDArray[Any]:
    with reading(f"{key} in {path}", EXPECTED[key]):
        array = archive[key]
    # Of a member that is no .npy file, NumPy gives the bytes.
    if not isinstance(array, np.ndarray):
        raise DataError(f"{key} in {path} is no .npy array.", EXPECTED[key])
    return array


def _refuse_bomb(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
    if unpacked > max(HARMLESS, MOST_COMPRESSED * path.stat().st_size):
        raise DataError(f"{path} would unpack to {unpacked / 2**30:.1f} GB, over {MOST_COMPRESSED} times its size.")


def _require_keys(path: Path, found: list[str], keys: tuple[str, ...], fix: str) -> None:
    if missing := [key for key in keys if key not in found]:
        raise DataError(f"{path} lacks {', '.join(missing)}.", fix)
    # NumPy would take one of them; the end of a name, .npy, it leaves out.
    if twice := [key for key in (*keys, NAMES) if found.count(key) > 1]:
        raise DataError(f"{path} holds {', '.join(twice)} more than once.", fix)


def _split(arrays: Mapping[str, NDArray[Any]], path: Path, role: str) -> Split:
    images, labels = arrays[f"x_{role}"], arrays[f"y_{role}"]
    _check_images(images, f"x_{role} in {path}")
    _check_labels(labels, f"y_{role} in {path}")
    # Before anything is made for each image: those without pixels can be any number.
    if len(images) != len(labels):
        raise DataError(
            f"x_{role} in {path} has {len(images)} images but {len(labels)} labels.", "Give each image one."
        )
    return Split(InMemory(rgb(images)), labels.reshape(-1).astype(np.int64), indices(len(images)))


def _check_images(images: NDArray[Any], what: str) -> None:
    if images.dtype != np.uint8:
        raise DataError(
            f"{what} is {short(images.dtype)}, expected uint8 from 0 to 255.",
            "Save the images as they were, or as (x * 255).round().astype('uint8') if they go from 0 to 1.",
        )
    if not (images.ndim == 3 or (images.ndim == 4 and images.shape[-1] in (1, 3))):
        raise DataError(f"{what} has the shape {images.shape}, expected (N, H, W), (N, H, W, 1) or (N, H, W, 3).")
    height, width = images.shape[1:3]
    if min(height, width) < MIN_SIDE:
        raise DataError(f"The images {what} are {width}x{height} pixels, expected {MIN_SIDE}x{MIN_SIDE} or more.")


def _check_labels(labels: NDArray[Any], what: str) -> None:
    is_column = labels.ndim == 1 or (labels.ndim == 2 and labels.shape[1] == 1)
    if labels.dtype.kind not in "iu" or not is_column or labels.size == 0:
        raise DataError(
            f"{what} is {short(labels.dtype)} of shape {labels.shape}, expected integers of shape (N,) or (N, 1).",
            "Save class numbers from 0, whole numbers as y.astype('int64'); for one-hot rows y.argmax(axis=1).",
        )
    # Before it is made smaller, as which it could be any class.
    if labels.max() > np.iinfo(np.int64).max:
        raise DataError(f"{what} has the class number {labels.max()}.", "Number the classes from 0 without gaps.")


def _class_names(arrays: Mapping[str, NDArray[Any]], path: Path, train: Split, test: Split) -> tuple[str, ...]:
    # Each class needs a training image. Names of no letters, or a number such as 10**15, could count up to anything.
    if NAMES in arrays:
        names = _names(arrays[NAMES], path)
        if len(names) > len(train):
            raise DataError(f"{NAMES} in {path} has {len(names)} names, too many for {len(train)} training images.")
        return tuple(names.tolist())
    highest = int(max(train.labels.max(), test.labels.max()))
    if highest >= len(train):
        raise DataError(
            f"The labels in {path} go up to {highest}, too many classes for {len(train)} training images.",
            "Number the classes from 0 without gaps.",
        )
    return tuple(indices(highest + 1))


def _names(array: NDArray[Any], path: Path) -> NDArray[np.str_]:
    if array.ndim != 1 or array.dtype.kind != "U":
        kind = f"{short(array.dtype)} of shape {array.shape}"
        raise DataError(f"{NAMES} in {path} is {kind}, expected text of shape (C,).")
    return array
