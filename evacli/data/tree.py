"""Which files a folder of images offers: `train/<class>/*` with `test`, `val`, `valid` or `validation`.

Every file in a class's folder is expected to be an image, whatever it is called; hidden files, `Thumbs.db`,
`desktop.ini` and files outside the classes' folders are left alone. Links must stay inside the data folder, and nothing
below the classes' folders is entered, so no loop of links can be followed.
"""

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evacli.data.names import from_file
from evacli.errors import DataError
from evacli.messages import listed

TRAIN, TEST, VALIDATION = "train", "test", "validation"
VALIDATION_FOLDERS = ("val", "valid", "validation")
NOT_IMAGES = ("thumbs.db", "desktop.ini")


@dataclass(frozen=True)
class Listing:
    """The files of one split and the (N,) indices of their classes."""

    paths: list[Path]
    labels: NDArray[np.int64]

    def take(self, indices: Iterable[int]) -> "Listing":
        """Return the files at `indices`, in that order."""
        chosen = list(indices)
        return Listing([self.paths[i] for i in chosen], self.labels[chosen])


@dataclass(frozen=True)
class Tree:
    """The files of a folder of images: by split, and those that cannot be images with the reason why."""

    class_names: tuple[str, ...]
    splits: dict[str, Listing]
    problems: dict[Path, str]


def scan(root: Path) -> Tree:
    """List the images of the folder, classes and files in the order of their names.

    Raises:
        DataError: if a split or, in any split, a class lacks images, if two classes differ in case alone or two folders
            of a split in the spelling of one name, or if a split or a class is a link out of the folder.
    """
    folders = _split_folders(root)
    classes = {folder: _classes(root, folder) for folder in folders.values()}
    class_names = _class_names(root, classes.values())
    problems: dict[Path, str] = {}
    splits = {role: _listing(root, folder, classes[folder], class_names, problems) for role, folder in folders.items()}
    return Tree(class_names, splits, problems)


def scan_part(root: Path) -> tuple[str, Tree]:
    """List the images of a folder that are to be evaluated, and say which part of it they are.

    That is its test folder, or its validation folder, or its train folder; without any, it is itself a folder of
    classes. Classes without images do not count.

    Raises:
        DataError: if there are no images in folders of classes, or for names and links as in `scan`.
    """
    part = next((name for name in (TEST, *VALIDATION_FOLDERS, TRAIN) if _has_folders(root / name)), "")
    folders = {name: folder for name, folder in _classes(root, root / part).items() if _files(folder)}
    class_names = _class_names(root, [folders])
    problems: dict[Path, str] = {}
    listing = _listing(root, root / part, folders, class_names, problems)
    return part, Tree(class_names, {part: listing}, problems)


def _has_folders(folder: Path) -> bool:
    # A folder of images alone is a class, whatever it is called.
    return folder.is_dir() and any(child.is_dir() and not _hidden(child.name) for child in folder.iterdir())


def _split_folders(root: Path) -> dict[str, Path]:
    """Return the folder of each split; a validation folder without a test folder beside it serves as the test split."""
    validation = [root / name for name in VALIDATION_FOLDERS if (root / name).is_dir()]
    if len(validation) > 1:
        raise DataError(f"{root} has {listed([v.name for v in validation])}.", "Keep one of these folders.")
    folders = [folder for folder in (root / TEST, *validation) if folder.is_dir()]
    if not folders:
        raise DataError(f"{root} has a folder train but no folder test, val, valid or validation.", "Add one.")
    return dict(zip((TRAIN, TEST, VALIDATION), [root / TRAIN, *folders], strict=False))


def _classes(root: Path, split: Path) -> dict[str, Path]:
    """Return the folders of a split by the names of their classes, which are the same on every system."""
    _require_inside(root, split)
    found: dict[str, Path] = {}
    for folder in sorted(child for child in split.iterdir() if child.is_dir() and not _hidden(child.name)):
        _require_inside(root, folder)
        first = found.setdefault(from_file(folder.name), folder)
        if first is not folder:
            names = listed([ascii(path.name) for path in (first, folder)])
            raise DataError(f"{split} has two folders of one name, spelled differently: {names}.", "Merge them.")
    return found


def _class_names(root: Path, splits: Iterable[Iterable[str]]) -> tuple[str, ...]:
    names = set(chain(*splits))
    ambiguous = [key for key, count in Counter(map(str.casefold, names)).items() if count > 1]
    if alike := sorted(name for name in names if name.casefold() in ambiguous):
        raise DataError(f"{root} has classes that differ in case alone: {listed(alike)}.", "Rename or merge them.")
    return tuple(sorted(names))


def _listing(
    root: Path, split: Path, classes: Mapping[str, Path], class_names: Sequence[str], problems: dict[Path, str]
) -> Listing:
    paths: list[Path] = []
    labels: list[int] = []
    empty = []
    for label, name in enumerate(class_names):
        files = _files(classes[name]) if name in classes else []
        problems |= {Path(entry.path): problem for entry in files if (problem := _problem(root, entry))}
        good = [Path(entry.path) for entry in files if Path(entry.path) not in problems]
        paths += good
        labels += [label] * len(good)
        empty += [] if files else [name]
    if empty:
        raise DataError(
            f"{split} has no images of {len(empty)} of {len(class_names)} classes: {listed(empty)}.",
            "Every split needs images of every class; add them, or remove the class from all splits.",
        )
    return Listing(paths, np.array(labels, np.int64))


def _files(folder: Path) -> list["os.DirEntry[str]"]:
    with os.scandir(folder) as entries:
        return sorted((e for e in entries if not _hidden(e.name)), key=lambda entry: entry.name)


def _hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in NOT_IMAGES


def _problem(root: Path, entry: "os.DirEntry[str]") -> str | None:
    """Why a file must not be opened, None if it may be."""
    if entry.is_symlink() and not _inside(root, Path(entry.path)):
        return "a link out of the data folder"
    path = Path(entry.path)
    if path.is_dir():
        return "a folder"
    # Neither a broken link nor a pipe, which would be waited for for ever.
    return None if path.is_file() else "not a file"


def _require_inside(root: Path, folder: Path) -> None:
    if not _inside(root, folder):
        raise DataError(f"{folder} is a link out of the data folder.", "Put the images there, or name its target.")


def _inside(root: Path, path: Path) -> bool:
    # os.path.realpath, unlike Path.resolve, accepts loops.
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root))
