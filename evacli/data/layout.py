"""What the files of a data set are to it, told from their names alone: which split and which class each belongs to.

Folders of classes may lie in folders of splits, or by themselves; either of these one or two folders further down, and
pictures in folders of their own below their class. What is no picture by its name, as `labels.txt`, is no obstacle.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import PurePosixPath
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evacli.data.files import File, Files
from evacli.errors import DataError
from evacli.messages import listed

Order = Literal["natural", "characters"]
TRAIN, TEST, VALIDATION = "train", "test", "validation"
# What people call the folders of the splits, in any capitals.
ROLES = {
    **dict.fromkeys(("train", "training"), TRAIN),
    **dict.fromkeys(("test", "testing"), TEST),
    **dict.fromkeys(("val", "valid", "validation"), VALIDATION),
}
DEEPEST = 2  # folders around the data that are looked into
# What lies beside pictures without being one.
NOTES = (".txt", ".md", ".rst", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".html", ".pdf", ".log")
NOTE_NAMES = ("readme", "license", "licence")
DETECTION = {"images", "jpegimages", "labels", "annotations", "masks", "segmentationclass"}


@dataclass(frozen=True)
class Listing:
    """The files of one split and the (N,) indices of their classes."""

    files: list[File]
    labels: NDArray[np.int64]

    def take(self, indices: Iterable[int]) -> "Listing":
        """Return the files at `indices`, in that order."""
        chosen = list(indices)
        return Listing([self.files[i] for i in chosen], self.labels[chosen])


@dataclass(frozen=True)
class Layout:
    """The files of a data set by split, and what was understood.

    Attributes:
        where: the folder or archive, as a message has it.
        class_names: the name of each label.
        splits: a listing for each role; without tests a part of the training images has to serve.
        problems: files that cannot be images, and the reason why.
        said: what was understood, a sentence; empty where the data lie as documented first.
    """

    where: str
    class_names: tuple[str, ...]
    splits: dict[str, Listing]
    problems: dict[str, str]
    said: str = ""

    @property
    def has_tests(self) -> bool:
        """Whether there are test images."""
        return TEST in self.splits


def understand(found: Files, order: Order) -> Layout:
    """Tell classes and splits.

    Args:
        found: all files.
        order: of the classes: "natural", numbers in names by their value, or "characters".

    Raises:
        DataError: if there are no classes, a split or, in any split, a class lacks images, or two classes differ in
            case alone; it says what the files look like.

    Example:
        >>> understand(files.of_folder(Path("photos")), "natural").class_names
        ('cat', 'dog')
    """
    tree = _Tree(found)
    base = _base_of_splits(tree)
    if base is None:
        return _flat(tree, order)
    roles = _roles(tree, base)
    unlabelled = [folder for role, folder in roles.items() if role != TRAIN and not tree.folders_in(folder)]
    said = _said(tree, base, roles, unlabelled)
    folders = {role: folder for role, folder in roles.items() if folder not in unlabelled}
    if TEST not in folders and VALIDATION in folders:
        folders[TEST] = folders.pop(VALIDATION)
    return replace(_layout(tree, base, folders, order), said=said)


def understand_part(found: Files, order: Order) -> tuple[str, Layout]:
    """Tell the classes of one part alone: of the tests, of the validation images, of the training images, or of all.

    Returns:
        The folder of the part, empty for all; and the files, as training images. Classes without files are left out.

    Raises:
        DataError: if there are no classes; see `understand`.
    """
    tree = _Tree(found)
    folder = _part(tree)
    if folder is None:
        layout = _flat(tree, order, subset=True)
        return "", layout
    return folder, _layout(tree, folder, {TRAIN: folder}, order, subset=True)


def _part(tree: "_Tree") -> str | None:
    """Return the folder of the split that is to be evaluated, None if there are none."""
    level = [""]
    for _ in range(DEEPEST + 1):
        splits = [child for folder in level for child in tree.folders_in(folder) if tree.folders_in(child)]
        for role in (TEST, VALIDATION, TRAIN):
            if fitting := [folder for folder in splits if _role(folder) == role]:
                if len(fitting) > 1:
                    raise DataError(f"{tree.found.where} has {listed(fitting)}.", "Name one of them with --data.")
                return fitting[0]
        level = [child for folder in level for child in tree.folders_in(folder)]
    return None


class _Tree:
    """The folders of a data set, and which files may be pictures."""

    def __init__(self, found: Files) -> None:
        self.found = found
        self._children: dict[str, list[str]] = defaultdict(list)
        for folder in sorted(found.folders):
            self._children[_parent(folder)].append(folder)

    def folders_in(self, folder: str) -> list[str]:
        return self._children.get(folder, [])

    def classes(self, split: str) -> dict[str, list[File]]:
        """Return the files of each folder in `split`, by the folder's name; not of those that hold notes alone."""
        below: dict[str, list[File]] = {_last(folder): [] for folder in self.folders_in(split)}
        noted = set()
        start, depth = f"{split}/" if split else "", len(_parts(split))
        for file in self.found.files:
            if file.name.startswith(start):
                parts = file.name.split("/")[depth:]
                if len(parts) > 1 and _is_note(parts[-1]):
                    noted.add(parts[0])
                elif len(parts) > 1:
                    below[parts[0]].append(file)
        return {name: files for name, files in below.items() if files or name not in noted}

    def problems_in(self, folder: str) -> dict[str, str]:
        """Return what must not be opened in the folders that `folder` holds."""
        start, depth = f"{folder}/" if folder else "", len(_parts(folder)) + 1
        found = self.found.problems.items()
        return {name: why for name, why in found if name.startswith(start) and name.count("/") >= depth}

    def shown(self, folder: str) -> str:
        return f"{self.found.where}/{folder}" if folder else self.found.where


def _base_of_splits(tree: _Tree) -> str | None:
    """Return the folder that the splits lie in, None if there are none."""
    level = [""]
    for _ in range(DEEPEST + 1):
        holding = [folder for folder in level if any(_is_train(tree, child) for child in tree.folders_in(folder))]
        if len(holding) > 1:
            raise DataError(
                f"{tree.found.where} holds several data sets: {listed([f or '.' for f in holding])}.",
                "Name one of them with --data.",
            )
        if holding:
            return holding[0]
        level = [child for folder in level for child in tree.folders_in(folder)]
    return None


def _is_train(tree: _Tree, folder: str) -> bool:
    # A class may be called train; it then holds pictures, not folders.
    return _role(folder) == TRAIN and bool(tree.folders_in(folder))


def _roles(tree: _Tree, base: str) -> dict[str, str]:
    """Return the folder of each split."""
    found: dict[str, list[str]] = defaultdict(list)
    for folder in tree.folders_in(base):
        if role := _role(folder):
            found[role].append(folder)
    for folders in found.values():
        if len(folders) > 1:
            raise DataError(
                f"{tree.shown(base)} has {listed([_last(folder) for folder in folders])}.", "Keep one of these folders."
            )
    return {role: found[role][0] for role in (TRAIN, TEST, VALIDATION) if role in found}


def _flat(tree: _Tree, order: Order, *, subset: bool = False) -> Layout:
    base = ""
    while len(inside := tree.folders_in(base)) == 1 and _is_around(tree, inside[0]):
        base = inside[0]
    if not inside:
        raise DataError(
            f"{tree.shown(base)} has no folders of classes.",
            "Give each class a folder, or a list of the pictures and their classes; to predict, see evacli predict.",
        )
    if all(map(_role, inside)) and not subset:
        raise DataError(f"{tree.shown(base)} has a folder {_last(inside[0])} but no folder train.", "Add one.")
    layout = _layout(tree, base, {TRAIN: base}, order, subset=subset)
    return replace(layout, said=f"{tree.shown(base)} is understood as folders of {len(layout.class_names)} classes")


def _is_around(tree: _Tree, folder: str) -> bool:
    """Return whether a folder, alone in its place, is one around the data and no class or split."""
    return bool(tree.folders_in(folder)) and len(_parts(folder)) <= DEEPEST and _role(folder) is None


def _layout(tree: _Tree, base: str, folders: Mapping[str, str], order: Order, *, subset: bool = False) -> Layout:
    _refuse_detection(tree, folders)
    classes = {role: tree.classes(folder) for role, folder in folders.items()}
    if subset:
        classes = {role: {name: files for name, files in found.items() if files} for role, found in classes.items()}
    names = set(chain(*classes.values()))
    ambiguous = [key for key, count in Counter(map(str.casefold, names)).items() if count > 1]
    if alike := sorted(name for name in names if name.casefold() in ambiguous):
        raise DataError(
            f"{tree.shown(base)} has classes that differ in case alone: {listed(alike)}.", "Rename or merge them."
        )
    class_names = sorted_classes(names, order)
    problems: dict[str, str] = {}
    for role, folder in folders.items():
        problems |= (here := tree.problems_in(folder))
        spoilt = {_parts(name)[len(_parts(folder))] for name in here}  # such a class is not without files
        if lacking := [name for name in class_names if not classes[role].get(name) and name not in spoilt]:
            raise DataError(
                f"{tree.shown(folder)} has no images of {len(lacking)} of {len(class_names)} classes: "
                f"{listed(lacking)}.",
                "Every split needs images of every class; add them, or remove the class from all splits.",
            )
    listings = {role: _listing(classes[role], class_names) for role in folders}
    return Layout(tree.found.where, class_names, listings, problems)


def _refuse_detection(tree: _Tree, folders: Mapping[str, str]) -> None:
    for folder in folders.values():
        names = {_last(child) for child in tree.folders_in(folder)}
        if names and {name.casefold() for name in names} <= DETECTION:
            raise DataError(
                f"{tree.shown(folder)} has the folders {listed(sorted(names))}, which looks like detection.",
                "evacli takes pictures that show one class each: a folder for each class.",
            )


def _listing(classes: Mapping[str, list[File]], class_names: Sequence[str]) -> Listing:
    counts = [len(classes.get(name, [])) for name in class_names]
    files = [file for name in class_names for file in classes.get(name, [])]
    return Listing(files, np.repeat(np.arange(len(class_names), dtype=np.int64), counts))


def _said(tree: _Tree, base: str, roles: Mapping[str, str], unlabelled: Sequence[str]) -> str:
    usual = not base and not unlabelled and TEST in roles
    if usual and all(_last(folder) == _last(folder).lower() for folder in roles.values()):
        return ""
    parts = [f"{_title(role)} images in {folder}" for role, folder in roles.items() if folder not in unlabelled]
    said = f"{tree.found.where} is understood as {', '.join(parts)}"
    if unlabelled:
        said += f"; the pictures in {listed(unlabelled)} have no classes (see evacli predict)"
    elif TEST not in roles and VALIDATION in roles:
        said += f"; {_last(roles[VALIDATION])} tests"
    return said


def listings(
    files: Mapping[str, list[File]], classes: Mapping[str, list[str]], class_names: Sequence[str]
) -> dict[str, Listing]:
    """Return the listing of each split from files and the names of their classes.

    Validation images without tests beside them are the tests.

    Args:
        files: of each split.
        classes: the class of each file, of each split.
        class_names: the name of each number.
    """
    number = {name: i for i, name in enumerate(class_names)}
    found = {role: Listing(files[role], np.array([number[name] for name in classes[role]], np.int64)) for role in files}
    if TEST not in found and VALIDATION in found:
        found[TEST] = found.pop(VALIDATION)
    return found


def _title(role: str) -> str:
    return "training" if role == TRAIN else role


def _role(folder: str) -> str | None:
    return ROLES.get(_last(folder).casefold())


def _is_note(name: str) -> bool:
    path = PurePosixPath(name.casefold())
    return path.suffix in NOTES or path.stem in NOTE_NAMES


def sorted_classes(names: Iterable[str], order: Order) -> tuple[str, ...]:
    """Return class names in their order.

    Example:
        >>> sorted_classes(["10", "2"], "natural"), sorted_classes(["10", "2"], "characters")
        (('2', '10'), ('10', '2'))
    """
    return tuple(sorted(names, key=natural if order == "natural" else str))


def natural(name: str) -> list[tuple[bool, int, str]]:
    """Return a key by which 2 sorts before 10."""
    parts = re.split(r"([0-9]+)", name)
    return [(bool(i % 2), int(part) if i % 2 else 0, part) for i, part in enumerate(parts)]


def _parts(folder: str) -> list[str]:
    return folder.split("/") if folder else []


def _parent(folder: str) -> str:
    return folder.rpartition("/")[0]


def _last(folder: str) -> str:
    return folder.rpartition("/")[2]
