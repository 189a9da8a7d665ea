"""NumPy's files: an `.npz` archive, or a folder of `.npy`, under the names that people give their arrays."""

import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from evacli import memory
from evacli.data import arrays
from evacli.data.arrays import IMAGES_EXPECTED, LABELS_EXPECTED, indices
from evacli.data.containers import refuse_bomb
from evacli.data.hostile import reading
from evacli.data.images import InMemory
from evacli.data.layout import TEST, TRAIN, VALIDATION
from evacli.data.types import Source, Split
from evacli.errors import DataError
from evacli.messages import listed

# Of images and of labels, in any capitals; where there is one pair alone, it is all there is.
KEYS = {
    TRAIN: (("x_train", "y_train"), ("train_x", "train_y"), ("train_images", "train_labels")),
    TEST: (("x_test", "y_test"), ("test_x", "test_y"), ("test_images", "test_labels")),
    VALIDATION: (("x_val", "y_val"), ("x_valid", "y_valid"), ("val_x", "val_y"), ("val_images", "val_labels")),
}
ALONE = (("x", "y"), ("images", "labels"), ("data", "target"), ("data", "labels"), ("arr_0", "arr_1"))
NAMES = ("class_names", "label_names", "target_names", "classes")
FEWER = "Save fewer or smaller images in it."
FIX = "Save it with np.savez and the arrays x_train, y_train, x_test, y_test."


def read(path: Path) -> Source:
    """Load an archive, or a folder of `.npy` files; no pickle in it is touched.

    Raises:
        DataError: if an array is missing, or is not images or labels.
        MemoryShort: if the images take more memory than there is.
    """
    with _opened(path) as archive:
        pairs, names = _chosen(path, list(archive))
        _require_training(path, pairs, list(archive))
        return _source(path, pairs, names, _loaded(path, archive, pairs, names))


def read_part(path: Path) -> tuple[str, Split, Callable[[int], str]]:
    """Load the part of an archive, or of a folder, that is to be evaluated: the test arrays or, without them, others.

    Returns:
        What the part is called, its images, and what gives the name of a class by its number.

    Raises:
        DataError, MemoryShort: as in `read`.
    """
    with _opened(path) as archive:
        pairs, names = _chosen(path, list(archive))
        role = next((role for role in (TEST, VALIDATION, TRAIN) if role in pairs), None)
        if role is None:
            raise DataError(f"{path} lacks images and labels; it holds {listed(sorted(archive))}.", FIX)
        images, labels = pairs[role]
        found = _loaded(path, archive, {role: pairs[role]}, names)
    arrays.check_shape(f"{images} in {path}", found[images])
    numbers, named = arrays.part(f"{labels} in {path}", found[labels], _called(path, names, found))
    _require_pairs(path, images, labels, found)
    (pixels,), _ = arrays.pixels([(f"{images} in {path}", found[images])])
    return role, Split(InMemory(pixels), numbers, indices(len(numbers))), named


@contextmanager
def _opened(path: Path) -> Iterator[Mapping[str, Any]]:
    """Open the arrays of an archive or a folder by name; none is read yet."""
    with reading(path, FIX):
        if path.is_dir():
            yield {file.stem: file for file in sorted(path.glob("*.npy"))}
            return
        with zipfile.ZipFile(path) as zipped:
            refuse_bomb(path, zipped)
        with np.load(path, allow_pickle=False) as archive:
            yield archive


def _loaded(path: Path, archive: Mapping[str, Any], pairs: "Pairs", names: Sequence[str]) -> dict[str, NDArray[Any]]:
    if not path.is_dir():
        memory.require(_needed(path, pairs), f"{path} takes", FEWER, doubt=1)
    return {key: _array(archive, key, path) for key in (*_keys(pairs), *names)}


def _needed(path: Path, pairs: "Pairs") -> int:
    """Tell from the headers of the images, whether compressed or not, what they and their form in RGB take."""
    needed = 0
    with zipfile.ZipFile(path) as archive:
        for key, _ in pairs.values():
            member = f"{key}.npy"
            if member in archive.NameToInfo:
                with reading(f"{key} in {path}", IMAGES_EXPECTED), archive.open(member) as file:
                    shape = _shape(file)
                copies = 1 if shape[3:] == (3,) else 4  # grey ones are held as they are, and as red, green and blue
                needed += copies * archive.getinfo(member).file_size
    return needed


def _shape(member: IO[bytes]) -> tuple[int, ...]:
    read = np.lib.format.read_array_header_1_0, np.lib.format.read_array_header_2_0
    shape: tuple[int, ...] = read[np.lib.format.read_magic(member) > (1, 0)](member)[0]
    return shape


def holds_arrays(path: Path) -> bool:
    """Return whether a folder holds `.npy` files, or a zip file nothing else."""
    if path.is_dir():
        return any(path.glob("*.npy"))
    with zipfile.ZipFile(path) as archive:
        return path.suffix.lower() == ".npz" or all(name.endswith(".npy") for name in archive.namelist())


Pairs = Mapping[str, tuple[str, str]]  # of each split the keys of its images and its labels


def _chosen(path: Path, keys: Sequence[str]) -> tuple[Pairs, list[str]]:
    """Return which arrays are the images and labels of which split, and which is the class names."""
    spelled: dict[str, str] = {}
    for key in keys:
        # NumPy would take one of them; the end of a name, .npy, it leaves out.
        if key.lower() in spelled:
            raise DataError(f"{path} holds {key} more than once.", FIX)
        spelled[key.lower()] = key
    pairs = {role: pair for role, choices in KEYS.items() if (pair := _first(choices, spelled))}
    if not pairs and (pair := _first(ALONE, spelled)):
        pairs = {TRAIN: pair}
    for role, choices in KEYS.items():
        for pair in choices:
            lacking = [key for key in pair if key not in spelled]
            if role not in pairs and len(lacking) == 1:
                raise DataError(f"{path} lacks {lacking[0]}.", FIX)
    return pairs, [spelled[name] for name in NAMES if name in spelled][:1]


def _require_training(path: Path, pairs: Pairs, keys: Sequence[str]) -> None:
    if TRAIN not in pairs:
        found = f"it holds {listed(sorted(keys))}" if keys else "it is empty"
        raise DataError(f"{path} lacks images and labels to train on; {found}.", FIX)


def _first(choices: Sequence[tuple[str, str]], spelled: Mapping[str, str]) -> tuple[str, str] | None:
    return next(((spelled[x], spelled[y]) for x, y in choices if x in spelled and y in spelled), None)


def _keys(pairs: Pairs) -> list[str]:
    return [key for pair in pairs.values() for key in pair]


def _expected(key: str) -> str:
    of_labels = {labels for choices in (*KEYS.values(), ALONE) for _, labels in choices}
    return LABELS_EXPECTED if key.lower() in of_labels else IMAGES_EXPECTED


def _array(archive: Mapping[str, Any], key: str, path: Path) -> NDArray[Any]:
    with reading(f"{key} in {path}", _expected(key)):
        array = archive[key]
        if isinstance(array, Path):
            array = np.load(array, mmap_mode="r", allow_pickle=False)
    # Of a member that is no .npy file, NumPy gives the bytes.
    if not isinstance(array, np.ndarray):
        raise DataError(f"{key} in {path} is no .npy array.", _expected(key))
    return array


def _source(path: Path, pairs: Pairs, names: Sequence[str], found: Mapping[str, NDArray[Any]]) -> Source:
    for images, _ in pairs.values():
        arrays.check_shape(f"{images} in {path}", found[images])
    called = [(f"{labels} in {path}", found[labels]) for _, labels in pairs.values()]
    told = arrays.classes(called, _called(path, names, found))
    for images, labels in pairs.values():
        _require_pairs(path, images, labels, found)
    pixels, said = arrays.pixels([(f"{images} in {path}", found[images]) for images, _ in pairs.values()])
    splits = {
        role: Split(InMemory(images), labels, indices(len(images)))
        for role, images, labels in zip(pairs, pixels, told.labels, strict=True)
    }
    test, validation = splits.get(TEST), splits.get(VALIDATION)
    if test is None:
        test, validation = validation, None
    said = f"{path} is understood as arrays of {said}" if said else ""
    return Source(splits[TRAIN], test, told.names, validation, said=said)


def _called(path: Path, names: Sequence[str], found: Mapping[str, NDArray[Any]]) -> tuple[str, NDArray[Any]] | None:
    return (f"{names[0]} in {path}", found[names[0]]) if names else None


def _require_pairs(path: Path, images: str, labels: str, found: Mapping[str, NDArray[Any]]) -> None:
    if len(found[images]) != len(found[labels]):
        raise DataError(
            f"{images} in {path} has {len(found[images])} images but {len(found[labels])} labels.",
            "Give each image one.",
        )
