"""What `--data PATH` holds: recognised by content, whatever it is called."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from evacli import console, paths
from evacli.config import Config
from evacli.data import cifar, decoding, heldout, idx, labelled, layout, lists, npz, parquet, pictures, svhn
from evacli.data.containers import GZIP_MAGIC, archived, directories
from evacli.data.containers import Files as CifarFiles
from evacli.data.files import ZIP_MAGIC, File, Files, of_archive, of_folder
from evacli.data.heldout import Drawn
from evacli.data.hostile import reading
from evacli.data.labelled import Labelled
from evacli.data.layout import Layout, Order
from evacli.data.types import Source
from evacli.errors import DataError
from evacli.messages import listed

EXPECTED = (
    "Expected: pictures in folders of classes (perhaps in train and test, zipped or not), a CSV list of path,label, "
    "an .npz or .npy files with x_train, y_train, x_test, y_test, CIFAR batches, or IDX files."
)
TAR_MAGIC, TAR_MAGIC_AT = b"ustar", 257

Understand = Callable[[Files, Order], Layout]


def read(given: str, config: Config, kept: Drawn | None = None) -> Source:
    """Load the data set at the path that was given.

    Args:
        given: the path.
        config: says what is made of it.
        kept: the split of each image, where tests were drawn before.

    Raises:
        DataError: if there is nothing that evacli can read; it says what was expected.
    """
    with _located(given, EXPECTED) as path:
        found = _found(path, config.class_order, layout.understand) or npz.read(path)
        if isinstance(found, Layout) and layout.TRAIN not in found.splits:
            raise DataError(f"{path} lists no training images.", "Call their split train.")
        if found.said:
            share = heldout.SHARE if config.test_split is None else config.test_split
            apart = "" if found.has_tests else f"; {share:.0%} of each class are kept for tests"
            console.note(f"{found.said}{apart}.")
        if isinstance(found, Layout):
            return _decoded(found, config, kept)
        return found if found.has_tests else heldout.of_arrays(found, config.test_split, kept)


def read_labelled(given: str, *, skip_bad: bool = False) -> Labelled:
    """Find the labelled pictures at a path that a network can be evaluated on; those in files are not read yet.

    Raises:
        DataError: as for `read`.
    """
    with _located(given, labelled.EXPECTED) as path:
        part = ""

        def understand(found: Files, order: Order) -> Layout:
            nonlocal part
            part, understood = layout.understand_part(found, order)
            return understood

        found = _found(path, "natural", understand)
        if found is None:
            return labelled.of_split(*npz.read_part(path))
        if isinstance(found, Layout):
            role = layout.TEST if found.has_tests else layout.TRAIN
            listing = found.splits[role]
            part = part or ("test" if found.has_tests else "")
            return labelled.of_files(part, replace(found, splits={layout.TRAIN: listing}), skip_bad=skip_bad)
        names = found.class_names
        role, split = ("train", found.train) if found.test is None else ("test", found.test)
        return labelled.of_split(role, split, lambda number: names[number])


@contextmanager
def _located(given: str, expected: str) -> Iterator[Path]:
    """Find what was given, and turn whatever goes wrong with it into one error."""
    given = paths.shown(given)
    with reading(f"--data {given}", expected):
        # Not Path.expanduser, which has no answer for a folder called ~backup where nobody is called so.
        path = Path(os.path.expanduser(given))  # noqa: PTH111
        if not path.exists():
            raise DataError(f"--data {given} does not exist.", expected)
        yield path


def _decoded(found: Layout, config: Config, kept: Drawn | None) -> Source:
    if found.has_tests:
        return decoding.read(found, config)
    found, drawn = heldout.of_files(found, config.test_split, kept)
    return replace(decoding.read(found, config), drawn=drawn)


def _found(path: Path, order: Order, understand: Understand) -> Layout | Source | None:
    """Return what a path holds, None for arrays of NumPy, which are told apart by their names."""
    return _in_folder(path, order, understand) if path.is_dir() else _in_file(path, order, understand)


def _in_folder(path: Path, order: Order, understand: Understand) -> Layout | Source | None:
    if not any(path.iterdir()):
        raise DataError(f"--data {path} is empty.", EXPECTED)
    if batches := _cifar(directories(path)):
        return batches
    if idx.sets(path):
        return idx.read(path)
    if svhn.fits(path):
        return svhn.read(path)
    if npz.holds_arrays(path):
        return None
    if parquet.tables(path):
        return parquet.read(path, order)
    return _understood(of_folder(path), order, understand)


def _understood(found: Files, order: Order, understand: Understand) -> Layout:
    """Tell what files are: folders of classes or, if they are not, what a list among them says."""
    try:
        return understand(found, order)
    except DataError:
        if listed_ := lists.of_files(found, order):
            return listed_
        raise


def _in_file(path: Path, order: Order, understand: Understand) -> Layout | Source | None:
    if not path.is_file():
        raise DataError(f"--data {path} is neither a file nor a folder.", EXPECTED)
    with path.open("rb") as file:
        head = file.read(512)
    if idx.is_idx(path):
        return idx.read(path)
    if head.startswith(ZIP_MAGIC):
        return None if npz.holds_arrays(path) else _understood(of_archive(path), order, understand)
    if head.startswith(parquet.MAGIC):
        return parquet.read(path, order)
    if pictures.is_picture(File.at(path)):
        raise DataError(f"--data {path} is a single image.", f"See evacli predict. {EXPECTED}")
    if head.startswith(GZIP_MAGIC) or head[TAR_MAGIC_AT:].startswith(TAR_MAGIC):
        return _cifar(archived(path)) or _understood(of_archive(path), order, understand)
    if path.suffix.lower() in (".csv", ".tsv") or lists.is_list(File.at(path)):
        return lists.of_file(path, order)
    raise DataError(f"--data {path} holds no data set that evacli knows.", EXPECTED)


def _cifar(candidates: dict[str, CifarFiles]) -> Source | None:
    found = {where: files for where, files in candidates.items() if cifar.layout(files)}
    if len(found) > 1:
        raise DataError(f"There are several data sets: {listed(sorted(found))}.", "Name one of them with --data.")
    for where, files in found.items():
        return cifar.read(files, where)
    return None
