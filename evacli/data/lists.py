"""Lists of pictures and their classes: CSV tables with a column of paths, one of classes and perhaps one of splits."""

import csv
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from io import TextIOWrapper
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from evacli.data.files import File, Files
from evacli.data.hostile import reading
from evacli.data.layout import ROLES, TRAIN, Layout, Order, listings, sorted_classes
from evacli.errors import DataError
from evacli.formats import counted
from evacli.messages import listed, short

# What people call the columns, in any capitals; the first that is there counts.
PATHS = (
    "path",
    "filepath",
    "file_path",
    "filename",
    "file_name",
    "file",
    "image_path",
    "image",
    "img",
    "image_id",
    "id",
)
CLASSES = ("label", "class", "class_name", "category", "target", "label_name")
SPLITS = ("split", "subset", "set")
EXPECTED = "Expected: a first line with a column path and a column label, such as path,label or path,label,split."
EXTENSIONS = ("", ".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG")

Look = Callable[[str], File | None]  # what a path in a list leads to


class Row(NamedTuple):
    """A line of a list: a path as it stands there, a class, and what it says of the split."""

    path: str
    label: str
    split: str


def of_file(path: Path, order: Order) -> Layout:
    """Read a list; its paths lead from its folder.

    Raises:
        DataError: if it has no such columns or rows that cannot be understood.
    """
    list_ = File.at(path)

    def look(name: str) -> File | None:
        found = located(path.parent, name)
        return None if found is None else File.at(found)._replace(name=name)

    return _layout(str(path), {None: rows(list_, str(path))}, {None: look}, order)


def located(folder: Path, name: str) -> Path | None:
    """Return the file that a path in a list leads to from a folder, which may leave out its extension."""
    return next((path for end in EXTENSIONS if (path := folder / (name + end)).is_file()), None)


def of_files(found: Files, order: Order) -> Layout | None:
    """Read the lists that lie among files: `metadata.csv` or `train.csv` and `test.csv`, or a single other.

    Returns:
        None if there are none.

    Raises:
        DataError: see `of_file`.
    """
    by_name = {file.name: file for file in found.files}
    lists = {file.name: file for file in found.files if file.name.lower().endswith(".csv") and is_list(file)}
    roles: dict[str | None, list[str]] = defaultdict(list)
    for name in lists:
        roles[_role_of_list(PurePosixPath(name))].append(name)
    chosen: dict[str | None, list[str]] = {role: names for role, names in roles.items() if role} or dict(roles)
    if not chosen:
        return None
    if several := next((names for names in chosen.values() if len(names) > 1), None):
        raise DataError(f"{found.where} holds several lists: {listed(several)}.", "Name one of them with --data.")
    tables: dict[str | None, list[Row]] = {}
    looks: dict[str | None, Look] = {}
    for role, (name,) in chosen.items():
        tables[role] = rows(lists[name], f"{found.where}/{name}")
        looks[role] = _look(by_name, PurePosixPath(name))
    return _layout(found.where, tables, looks, order)


def _role_of_list(path: PurePosixPath) -> str | None:
    return ROLES.get(path.stem.casefold()) or ROLES.get(path.parent.name.casefold())


def _look(by_name: Mapping[str, File], list_: PurePosixPath) -> Look:
    def look(name: str) -> File | None:
        for folder in (list_.parent, list_.parent / list_.stem, list_.parent / "images"):
            for extension in EXTENSIONS:
                if file := by_name.get((folder / (name + extension)).as_posix()):
                    return file
        return None

    return look


def is_list(file: File) -> bool:
    """Return whether a file begins like a list."""
    try:
        with TextIOWrapper(file.open(), encoding="utf-8-sig", errors="replace", newline="") as text:
            header = text.readline(10_000)
        return _columns(next(csv.reader([header], _dialect(header)), [])) is not None
    except (OSError, csv.Error):
        return False


class _Columns(NamedTuple):
    path: int
    label: int
    split: int | None


def _columns(header: Iterable[str]) -> _Columns | None:
    names = [name.strip().casefold() for name in header]
    path, label, split = (
        next((names.index(n) for n in known if n in names), None) for known in (PATHS, CLASSES, SPLITS)
    )
    return None if path is None or label is None else _Columns(path, label, split)


def _dialect(header: str) -> type[csv.Dialect]:
    class Dialect(csv.excel):
        delimiter = max(",;\t", key=header.count)

    return Dialect


def rows(list_: File, called: str) -> list[Row]:
    """Return what a list says.

    Args:
        list_: a CSV file, with commas, semicolons or tabs.
        called: its name in messages.

    Raises:
        DataError: if columns are missing, or a line has none of what it needs.
    """
    with reading(called, EXPECTED), TextIOWrapper(list_.open(), encoding="utf-8-sig", newline="") as text:
        header = text.readline(10_000)
        dialect = _dialect(header)
        columns = _columns(next(csv.reader([header], dialect), []))
        if columns is None:
            raise DataError(f"{called} has no columns of paths and classes: {short(header)}.", EXPECTED)
        found = []
        for number, line in enumerate(csv.reader(text, dialect), start=2):
            if line:
                found.append(_row(line, columns, f"{called}, line {number}"))
    if not found:
        raise DataError(f"{called} lists no pictures.", EXPECTED)
    return found


def _row(line: list[str], columns: _Columns, called: str) -> Row:
    needed = max(columns.path, columns.label)
    if len(line) <= needed or not line[columns.path].strip() or not line[columns.label].strip():
        raise DataError(f"{called} has no path or no class: {short(','.join(line))}.", EXPECTED)
    split = "" if columns.split is None or columns.split >= len(line) else line[columns.split].strip()
    path = line[columns.path].strip().replace("\\", "/").removeprefix("./")
    return Row(path, line[columns.label].strip(), split)


def _layout(
    where: str, tables: Mapping[str | None, list[Row]], looks: Mapping[str | None, Look], order: Order
) -> Layout:
    files: dict[str, list[File]] = defaultdict(list)
    classes: dict[str, list[str]] = defaultdict(list)
    problems: dict[str, str] = {}
    for role, table in tables.items():
        for row in table:
            split = role or _role(row.split, where)
            if (file := looks[role](row.path)) is None:
                problems[row.path] = "there is no such file"
            else:
                files[split].append(file)
                classes[split].append(row.label)
    if not files:
        raise DataError(f"{where}: none of the files that it lists is there, such as {short(next(iter(problems)))}.")
    _refuse_twice(where, files)
    names = sorted_classes({name for split in classes.values() for name in split}, order)
    pictures = counted(sum(map(len, files.values())), "picture")
    return Layout(
        where,
        names,
        listings(files, classes, names),
        problems,
        f"{where} is understood as a list of {pictures} of {len(names)} classes",
    )


def _role(said: str, where: str) -> str:
    if not said:
        return TRAIN
    if said.casefold() not in ROLES:
        raise DataError(f"{where} has the split {short(said)}.", f"Splits are called {listed(sorted(ROLES))}.")
    return ROLES[said.casefold()]


def _refuse_twice(where: str, files: Mapping[str, list[File]]) -> None:
    seen: set[str] = set()
    for file in (file for split in files.values() for file in split):
        if file.name in seen:
            raise DataError(f"{where} lists {short(file.name)} more than once.", "List each picture once.")
        seen.add(file.name)
