"""The tables of a run directory, which a stranger may have made."""

import csv
import io
from pathlib import Path

from evacli.run.directory import MAX_DOCUMENT_BYTES, read_small

# What goes wrong in reading one, or in taking its cells for what they should be.
UNREADABLE = (OSError, ValueError, KeyError, TypeError, csv.Error)


def read(path: Path, most: int = MAX_DOCUMENT_BYTES) -> list[dict[str, str]]:
    """Return the rows of a CSV file, each with its cells by the name of their column.

    Args:
        path: of the file.
        most: bytes that it may have.

    Raises:
        OSError | ValueError | csv.Error: if it cannot be read, or is no table.
    """
    lines = io.StringIO(read_small(path, most).decode(), newline="")  # a stranger's cell may have several
    return list(csv.DictReader(lines))
