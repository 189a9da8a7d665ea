"""How a result shows itself in a notebook."""

from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from html import escape
from io import BytesIO
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from evacli.formats import DASH, joined, percent, spelled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_ROWS = 25
_SHARES = "accuracy", "probability", "precision", "recall", "f1", "share"
_DRAW = "_draw"  # where a result keeps what draws its figure, which is no part of what it says


class Displayed(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """A result that a notebook shows as its picture above a table of what it says.

    Example:
        found = evacli.lr_find("runs/first", dataset="digits")
        found                                # as the last line of a cell: the curve, and what the rules suggest
        found.figure.savefig("curve.pdf")
    """

    @cached_property
    def figure(self) -> "Figure | None":
        """The matplotlib figure of its picture, drawn when it is first asked for; None where there is none."""
        draw = self.__dict__.get(_DRAW)
        return draw() if draw else None

    def _repr_html_(self) -> str:
        rows = "".join(
            f'<tr><th style="text-align: left">{escape(name)}</th><td style="text-align: left">{escape(said)}</td></tr>'
            for name, said in _facts(self)
        )
        tables = "".join(map(_table, filter(_is_table, msgspec.structs.asdict(self).values())))
        return f"{_picture(self.figure)}<table>{rows}</table>{tables}"


Result = TypeVar("Result", bound=Displayed)


def drawn(result: Result, draw: "Callable[[], Figure] | None") -> Result:
    """Tell a result how its figure is drawn, and return it."""
    result.__dict__[_DRAW] = draw
    return result


def _picture(figure: "Figure | None") -> str:
    if figure is None:
        return ""
    png = BytesIO()
    figure.savefig(png, format="png", dpi=100)
    data = b64encode(png.getvalue()).decode()
    return f'<img src="data:image/png;base64,{data}" style="max-width: 100%; background: white">'


def _is_table(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and isinstance(value[0], msgspec.Struct)


def _table(entries: Sequence[msgspec.Struct]) -> str:
    """Return a table with a row for each of the first entries, and a column for each thing that they say in a word."""
    rows = [dict(_facts(entry)) for entry in entries[:MOST_ROWS]]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    body = "".join(f"<tr>{''.join(f'<td>{escape(row.get(name, DASH))}</td>' for name in columns)}</tr>" for row in rows)
    left = len(entries) - len(rows)
    return f"<table><tr>{head}</tr>{body}</table>" + (f"<p>and {left:,} more</p>" if left else "")


def _facts(result: msgspec.Struct) -> Iterator[tuple[str, str]]:
    """Yield what a result says in a word or a number, as a person reads it."""
    for name, value in msgspec.structs.asdict(result).items():
        said = _said(name, value)
        if said is not None:
            yield name.replace("_", " "), said


def _said(name: str, value: Any) -> str | None:
    if isinstance(value, bool):
        return str(spelled(value))
    if isinstance(value, float):
        return percent(value) if name.endswith(_SHARES) else f"{value:.4g}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, str):
        return value or None
    if isinstance(value, dict) and all(isinstance(one, float | None) for one in value.values()):
        return joined([f"{key} {DASH if one is None else f'{one:.3g}'}" for key, one in value.items()])
    return None
