"""CSV that pandas reads without cleaning and that a spreadsheet opens without harm."""

import csv
import io
import re
from collections.abc import Iterable

# With these a spreadsheet takes a cell for a formula (OWASP, "CSV injection"); the last four are the full-width forms.
_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
# Those of ASCII and Latin-1, line separators, and what turns the direction of writing (UAX 9, table 1), so that a name
# would read as another one.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def to_csv(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Return a line for each row under a header line.

    Text that a spreadsheet would take for a formula gets an apostrophe in front; control characters are spelled out, so
    that each row is one line. Numbers stay as they are; None is an empty cell.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(map(harmless, columns))
    writer.writerows([harmless(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
    return out.getvalue()


def harmless(cell: str) -> str:
    """Return `cell` so that no spreadsheet evaluates it and no terminal obeys it."""
    shown = _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), cell)
    return f"'{shown}" if shown.startswith(_FORMULA) else shown
