"""The tables of a run directory, which a stranger may have made."""

import csv
from pathlib import Path

from evacli.run.directory import read_small

# What goes wrong in reading one, or in taking its cells for what they should be.
UNREADABLE = (OSError, ValueError, KeyError, TypeError, csv.Error)


def read(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file, each with its cells by the name of their column.

    Raises:
        OSError | ValueError | csv.Error: if it cannot be read, or is no table.
    """
    return list(csv.DictReader(read_small(path).decode().splitlines()))
