"""The only output sink: results go to stdout, everything else to stderr.

Text is never read as rich markup, so a class called `[/]` prints as it is spelled; control characters, those that turn
the direction of writing included, and lone surrogates, which a terminal would obey or refuse, are shown escaped.
"""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from json import dumps
from threading import Timer
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console, RenderableType
from rich.table import Column, Table
from rich.text import Text

from evacli.formats import without_noise
from evacli.streams import Stderr

if TYPE_CHECKING:
    from rich.progress import BarColumn, Progress, ProgressColumn
    from rich.status import Status

_state = {"quiet": False, "json": False}


def configure(*, quiet: bool = False, json: bool = False) -> None:
    """Choose what is shown: `quiet` drops everything but results and errors, `json` everything but the JSON."""
    _state.update(quiet=quiet, json=json)


def printable(text: object) -> str:
    """Return `text` with characters that are not to be seen escaped, safe for any terminal and any encoding."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


# Characters of a message that anybody will read: what a stranger's file says of itself may be megabytes.
_LONGEST = 2000


def _readable(message: str) -> str:
    half = _LONGEST // 2
    return printable(message if len(message) <= _LONGEST else f"{message[:half]} ... {message[-half:]}")


# Without a terminal there is no width to fold lines to; tables keep theirs whole up to this many columns.
_WIDE = 160


def _console(stream: TextIO | None, file: Any = None) -> Console:
    watched = stream is not None and stream.isatty()  # None: closed before the program began
    width = None if watched else _WIDE
    return Console(file=file, markup=False, emoji=False, highlight=False, soft_wrap=not watched, width=width)


def stdout() -> Console:
    """Return where results go."""
    return _console(sys.stdout)


@cache
def stderr() -> Console:
    """Return where everything else goes; one console, so that lines printed during a live display stay above it."""
    return _console(sys.stderr, Stderr())


def is_terminal() -> bool:
    """Tell whether a person watches the progress: stderr is a terminal and nothing asked for silence."""
    return stderr().is_terminal and not (_state["quiet"] or _state["json"])


def result(renderable: RenderableType) -> None:
    """Print a result to stdout; with `--json` nothing, since the JSON carries it."""
    if not _state["json"]:
        stdout().print(renderable)


def json(value: object) -> None:
    """Print `value` as one JSON document, if the caller asked for `--json`."""
    if _state["json"]:
        import msgspec

        # Not msgspec's encoder: it refuses the lone surrogates that a class name, once a folder name, may hold.
        sys.stdout.write(dumps(without_noise(msgspec.to_builtins(value)), indent=2) + "\n")
        sys.stdout.flush()  # a full disk is to be told while there is somebody to tell


def json_line(value: object) -> None:
    """Print `value` as one line of JSON, if the caller asked for `--json`."""
    if _state["json"]:
        import msgspec

        sys.stdout.write(dumps(msgspec.to_builtins(value)) + "\n")
        sys.stdout.flush()


def note(message: str, style: str = "dim") -> None:
    """Tell in a line on stderr what happens."""
    if not (_state["quiet"] or _state["json"]):
        stderr().print(Text(_readable(message), style=style))


def warn(message: str) -> None:
    """Tell in a line on stderr what the user should know, also with `--quiet`."""
    stderr().print(Text.assemble(("warning: ", "yellow"), _readable(message)))


def fail(message: str, fix: str = "") -> None:
    """Print the one line of an error on stderr: what was wrong and what to do."""
    fix = f" {_readable(fix)}" if fix else ""
    stderr().print(Text.assemble(("error: ", "bold red"), _readable(message), (fix, "cyan")))


def stopped(message: str, fix: str = "") -> None:
    """Print the one line, on stderr, of a command that was asked to stop and did so in good order."""
    fix = f" {_readable(fix)}" if fix else ""
    stderr().print(Text.assemble(("stopped: ", "bold"), _readable(message), (fix, "cyan")))


def table(title: str, columns: Iterable[str | Text], rows: Iterable[Iterable[object]]) -> Table:
    """Return a table with its first column to the left and all others to the right."""
    grid = Table(title=printable(title), title_justify="left", title_style="bold", header_style="bold")
    for i, column in enumerate(columns):
        grid.add_column(column, justify="left" if i == 0 else "right", overflow="fold")
    for row in rows:
        grid.add_row(*(cell if isinstance(cell, Text) else printable(cell) for cell in row))
    return grid


def bar() -> "BarColumn":
    """Return the bar of a progress display; in a narrow terminal it makes room for the text beside it."""
    from rich.progress import BarColumn

    return BarColumn(bar_width=None, table_column=Column(min_width=4, max_width=40))


def progress_bars() -> "Progress":
    """Return a progress display on stderr, silent without a terminal.

    Use: `with progress_bars() as bars: task = bars.add_task("reading", total=n); bars.advance(task)`.
    """
    # Not needed for --help, which is to answer at once.
    from rich.progress import MofNCompleteColumn, TextColumn, TimeRemainingColumn

    return bars(
        TextColumn("{task.description}", markup=False),
        bar(),
        MofNCompleteColumn(table_column=Column(no_wrap=True)),
        TimeRemainingColumn(table_column=Column(no_wrap=True)),
    )


def bars(*columns: "ProgressColumn") -> "Progress":
    """Return a progress display of one's own columns on stderr, silent without a terminal."""
    from rich.progress import Progress

    shown = is_terminal()
    _make_room()
    # Disabled, older releases of rich still ends with an empty line.
    return Progress(*columns, console=stderr() if shown else Console(quiet=True), transient=True, disable=not shown)


def track(items: Iterable[Any], description: str, total: int | None = None) -> Iterable[Any]:
    """Yield `items` under a progress bar."""
    with progress_bars() as bars:
        yield from bars.track(items, total=total, description=description)


def show_cursor() -> None:
    """Give a terminal its cursor back, which a live display hides; unlike rich, safe in a signal handler."""
    if sys.stderr is not None and sys.stderr.isatty():
        os.write(sys.stderr.fileno(), b"\x1b[?25h")


@contextmanager
def status(message: str) -> Iterator[None]:
    """Show a spinner for work whose length is unknown, such as importing TensorFlow; without a terminal, a line.

    What is shown within takes its place: not all releases of rich show two things that move.
    """
    if not is_terminal():
        with told_late(message):
            yield
        return
    outer = _make_room()
    with stderr().status(Text(printable(message))) as spinner:
        _spinners.append(spinner)
        try:
            yield
        finally:
            _spinners.remove(spinner)
    if outer:
        outer.start()


PATIENCE = 2.0  # seconds of silence that nobody wonders about


@contextmanager
def told_late(message: str) -> Iterator[None]:
    """Say in a line what takes so long, once it does, where there is no terminal to show progress on.

    Example:
        with told_late("Reading the images"):
            read()
    """
    if is_terminal():
        yield
        return
    timer = Timer(PATIENCE, note, [f"{message} ..."])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


_spinners: "list[Status]" = []


def _make_room() -> "Status | None":
    """Take the innermost spinner away and return it."""
    if not _spinners:
        return None
    _spinners[-1].stop()
    return _spinners[-1]
