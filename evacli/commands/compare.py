"""`evacli compare`."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.text import Text
from typer import Argument, Option

from evacli import console
from evacli.commands.options import JsonOption, QuietOption, configure_output
from evacli.formats import spelled

if TYPE_CHECKING:
    from evacli.comparing.columns import Column
    from evacli.comparing.result import ComparedRun, Comparison

MOST_COLUMNS = 10  # that are legible side by side
_STYLE = {"finished": "", "unfinished": "yellow", "failed": "bold red"}


def compare_command(
    runs: Annotated[list[Path], Argument(help="Directories of trained runs, 2 to 20.", metavar="RUN")],
    out: Annotated[
        Path | None,
        Option("--out", help="Folder for compare.html, .csv and .png. [dim]default: the one that the runs are in[/]"),
    ] = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Put runs side by side: curves, accuracy, loss, time and the settings that differ.

    Example: evacli compare runs/sgd runs/adam
    """
    configure_output(json, quiet)
    from evacli.comparing.compare import compare

    comparison = compare(runs, out)
    _show(comparison)
    console.json(comparison)


def _show(comparison: "Comparison") -> None:
    runs = comparison.runs
    console.result(console.table(f"Comparison of {len(runs)} runs", *_results(runs)))
    console.result("* the best of its column. Losses and gap (training minus test accuracy) are of the last epoch.")
    console.result(console.table("Time and settings; settings not shown are the same", *_settings(runs)))
    page, table, picture = map(console.printable, (comparison.page, comparison.table, comparison.picture))
    console.result(f"{page} shows it all; {table} has the numbers, {picture} the curves.")


def _results(runs: list["ComparedRun"]) -> tuple[list[str], list[list[Text]]]:
    from evacli.comparing.columns import RESULTS

    # Where the test images chose every epoch, the test accuracy is the top accuracy.
    repeated = "test_accuracy" if {run.chosen_by for run in runs} == {"test"} else ""
    columns = [column for column in RESULTS if column.name != repeated]
    return _headings(columns), [[_name(run), *(_figure(column, run, runs) for column in columns)] for run in runs]


def _settings(runs: list["ComparedRun"]) -> tuple[Sequence[str | Text], list[Sequence[str | Text]]]:
    """Headings and rows: a column for each setting, or, where they are too many and the runs fewer, for each run."""
    from evacli.comparing.columns import COSTS, SETTINGS, named

    columns = (*COSTS, *SETTINGS)
    headings = [*_headings(columns), *map(named, runs[0].settings)]
    grid: list[Sequence[str | Text]] = [headings]
    for run in runs:
        others = [console.printable(spelled(value)) for value in run.settings.values()]
        grid.append([run.label, *(_figure(column, run, runs) for column in columns), *others])
    if len(headings) > max(MOST_COLUMNS, len(grid)):
        grid = list(zip(*grid, strict=True))
    return grid[0], grid[1:]


def _headings(columns: Iterable["Column"]) -> list[str]:
    return ["run", *(column.title.lower() for column in columns)]


def _name(run: "ComparedRun") -> Text:
    return Text.assemble(run.label, (f" {run.shortfall}".rstrip(), _STYLE[run.state]))


def _figure(column: "Column", run: "ComparedRun", runs: list["ComparedRun"]) -> Text:
    from evacli.comparing.result import winners

    shown = console.printable(column.shown(run))
    best = any(winner is run for winner in winners(runs, column.name))
    return Text(f"{shown} *", "bold green") if best else Text(shown)
