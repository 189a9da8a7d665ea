"""Parquet tables of pictures, as hubs keep them: a column of images as bytes, or of paths, and one of classes."""

import json
from collections import defaultdict
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from evacli import extras
from evacli.data.files import File
from evacli.data.hostile import reading
from evacli.data.layout import ROLES, TRAIN, Layout, Order, listings, sorted_classes
from evacli.data.lists import CLASSES, EXPECTED, PATHS, located
from evacli.errors import DataError
from evacli.formats import counted
from evacli.messages import listed

MAGIC = b"PAR1"


def tables(folder: Path) -> list[Path]:
    """Return the parquet files in a folder or in its folder `data`."""
    return sorted((*folder.glob("*.parquet"), *folder.glob("data/*.parquet")))


def read(path: Path, order: Order) -> Layout:
    """Understand a table, or all tables of a folder, whose names begin with their split: `train-00000-of-00002`.

    Raises:
        DataError: if pyarrow is missing, or a table has no such columns.
    """
    if not extras.installed("pyarrow"):
        raise DataError(f"{path} is a parquet table, which needs pyarrow.", "pip install 'evacli[parquet]'")
    files: dict[str, list[File]] = defaultdict(list)
    classes: dict[str, list[str]] = defaultdict(list)
    names: list[str] | None = None
    for table in tables(path) if path.is_dir() else [path]:
        role = _role(table)
        with reading(table, EXPECTED):
            found, labels, named = _rows(table)
        files[role] += found
        classes[role] += labels
        names = names or named
    present = {name for split in classes.values() for name in split}
    class_names = tuple(names) if names and present <= set(names) else sorted_classes(present, order)
    pictures = counted(sum(map(len, files.values())), "picture")
    said = f"{path} is understood as tables of {pictures} of {len(class_names)} classes"
    return Layout(str(path), class_names, listings(files, classes, class_names), {}, said)


def _role(table: Path) -> str:
    return ROLES.get(table.stem.partition("-")[0].casefold(), TRAIN)


def _rows(table: Path) -> tuple[list[File], list[str], list[str] | None]:
    """Return the pictures of a table, the class of each and, if the table says them, the names of all classes."""
    import pyarrow.parquet as parquet

    stored = parquet.ParquetFile(table)
    columns = {name.casefold(): name for name in stored.schema_arrow.names}
    image = next((columns[name] for name in (*PATHS, "images", "bytes") if name in columns), None)
    label = next((columns[name] for name in (*CLASSES, "labels", "fine_label") if name in columns), None)
    if image is None or label is None:
        raise DataError(f"{table} has the columns {listed(stored.schema_arrow.names)}.", EXPECTED)
    names = _names(stored.schema_arrow.metadata, label)
    labels = [str(value) for value in stored.read(columns=[label]).column(0).to_pylist()]
    if names:
        labels = [names[int(value)] for value in labels]
    if str(stored.schema_arrow.field(image).type) in ("string", "large_string"):
        return (
            [_listed(table.parent, path) for path in stored.read(columns=[image]).column(0).to_pylist()],
            labels,
            names,
        )
    stamp = table.stat().st_size, table.stat().st_mtime_ns
    sizes = [stored.metadata.row_group(group).num_rows for group in range(stored.num_row_groups)]
    places = [(group, row) for group, size in enumerate(sizes) for row in range(size)]
    files = [
        File(f"{table.stem}/{number}", partial(_bytes, table, image, *place), (*stamp, number))
        for number, place in enumerate(places)
    ]
    return files, labels, names


def _listed(folder: Path, name: str) -> File:
    found = located(folder, name)
    if found is None:
        raise ValueError(f"there is no file {name}")
    return File.at(found)._replace(name=name)


def _names(metadata: dict[bytes, bytes] | None, label: str) -> list[str] | None:
    """Return the names of the classes, where the hub's own description of the columns has them."""
    described = json.loads((metadata or {}).get(b"huggingface", b"{}"))
    names = described.get("info", {}).get("features", {}).get(label, {}).get("names")
    return [str(name) for name in names] if isinstance(names, list) else None


def _bytes(table: Path, column: str, group: int, row: int) -> BinaryIO:
    value = _group(table, column, group)[row].as_py()
    content = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(content, bytes):
        raise ValueError("the row has no picture")
    return BytesIO(content)


_last: dict[tuple[Path, str, int], Any] = {}


def _group(table: Path, column: str, group: int) -> Any:
    """Return a column of a group of rows; the last one is kept, since pictures are read one after the other."""
    import pyarrow.parquet as parquet

    key = table, column, group
    if (found := _last.get(key)) is None:
        _last.clear()
        found = _last[key] = parquet.ParquetFile(table).read_row_group(group, columns=[column]).column(0)
    return found
