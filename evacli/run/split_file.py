"""split.csv: which images are kept for tests, of data that have none of their own."""

import csv
import io
from collections.abc import Mapping

from evacli import spreadsheet
from evacli.config import Config, differences
from evacli.errors import RunError
from evacli.run import config_file
from evacli.run.directory import RunDir, read_small, write_text_atomically

COLUMNS = ["image", "split"]
SPLITS = ("train", "test")
MOST_BYTES = 2**30


def read(run: RunDir, wanted: Config) -> dict[str, str] | None:
    """Return the split of each image by name, as an earlier command of the run has drawn it.

    Args:
        run: the run directory.
        wanted: the configuration; of other data, or another share for tests, nothing has been drawn.

    Returns:
        None where nothing has been drawn.

    Raises:
        RunError: if the file is not what evacli wrote.
    """
    stored = config_file.read(run)
    if stored is None or {"data", "test_split"} & set(differences(stored, wanted)) or not run.split.exists():
        return None
    try:
        lines = list(csv.reader(io.StringIO(read_small(run.split, MOST_BYTES).decode())))
    except (OSError, ValueError, csv.Error) as e:
        raise _garbled(run) from e
    if lines[:1] != [COLUMNS] or not all(len(line) == 2 and line[1] in SPLITS for line in lines[1:]):
        raise _garbled(run)
    return {line[0]: line[1] for line in lines[1:]}


def _garbled(run: RunDir) -> RunError:
    return RunError(f"{run.split} is not evacli's split.", "Delete it; it is drawn again, and the same.")


def write(run: RunDir, drawn: Mapping[str, str] | None) -> None:
    """Store which images are kept for tests; None: nothing was drawn."""
    if drawn is not None:
        write_text_atomically(run.split, spreadsheet.to_csv(COLUMNS, drawn.items()))
