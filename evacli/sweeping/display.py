"""What a person sees of a sweep: a line for each trial that is over, and bars for those under way.

All of them fit in the 80 columns of a terminal.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Any

from rich.progress import MofNCompleteColumn, TaskID, TextColumn
from rich.table import Column

from evacli import console
from evacli.formats import percent, spelled
from evacli.run.history import Row, best

_WIDTH, _SHORT = 80, 40  # columns of a line, and those beside a bar
_STYLE = {"finished": "", "pruned": "dim", "diverged": "yellow", "failed": "bold red"}


def in_short(settings: Mapping[str, Any], width: int = _WIDTH) -> str:
    """Return settings on one line of at most so many characters."""
    text = " ".join(f"{name}={spelled(value)}" for name, value in settings.items())
    return text if len(text) <= width else f"{text[: width - 1]}…"


class SweepDisplay:
    """Bars and lines on stderr; without a terminal only the lines."""

    def __init__(self, total: int, over: int, epochs: int) -> None:
        """Show a sweep of so many trials, of which some are over already."""
        self._epochs, self._tasks = epochs, dict[str, TaskID]()
        self._width = len(str(total))
        one_line = {"no_wrap": True, "overflow": "ellipsis"}
        self._bars = console.bars(
            TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True)),
            console.bar(),
            MofNCompleteColumn(table_column=Column(no_wrap=True)),
            TextColumn("{task.fields[said]}", markup=False, table_column=Column(ratio=1, **one_line)),  # type: ignore[arg-type]
        )
        self._all = self._bars.add_task("trials", total=total, completed=over, said="")
        self._open = ExitStack()

    def __enter__(self) -> "SweepDisplay":
        self._open.enter_context(self._bars)
        console.note(self._line("trial", "validation", "epoch", "state", "settings"))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._open.close()

    def begins(self, name: str, settings: Mapping[str, Any]) -> None:
        """Show a bar for a training."""
        self._tasks[name] = self._bars.add_task(name, total=self._epochs, said=in_short(settings, _SHORT))

    def goes_on(self, name: str, rows: list[Row]) -> None:
        """Move the bar of a training."""
        top = best(rows)
        said = {} if top is None else {"said": f"best {percent(top.deciding_accuracy)}"}
        self._bars.update(self._tasks[name], completed=len(rows), **said)  # type: ignore[arg-type]

    def leaves(self, name: str) -> None:
        """Take the bar of a training away."""
        self._bars.remove_task(self._tasks.pop(name))

    def is_over(self, number: int, state: str, rows: list[Row], settings: Mapping[str, Any], over: int) -> None:
        """Print the line of a trial that is over, as so many are now."""
        self._bars.update(self._all, completed=over)
        top = best(rows)
        accuracy = percent(top.deciding_accuracy if top else None)
        line = self._line(str(number), accuracy, f"{len(rows)}/{self._epochs}", state, in_short(settings))
        console.note(line if len(line) <= _WIDTH else f"{line[: _WIDTH - 1]}…", style=_STYLE[state])

    def _line(self, number: str, accuracy: str, epoch: str, state: str, settings: str) -> str:
        return f"{number:>{max(5, self._width)}}  {accuracy:>10}  {epoch:>7}  {state:<8}  {settings}"
