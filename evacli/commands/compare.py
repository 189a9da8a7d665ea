"""`evacli compare`."""

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

_STYLE = {"finished": "", "unfinished": "yellow", "failed": "bold red"}


def compare_command(
    runs: Annotated[list[Path], Argument(help="Directories of trained runs, two at least.", show_default=False)],
    out: Annotated[
        Path | None, Option("--out", help="Folder to write to. [dim]default: the one that the runs are in[/]")
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
    from evacli.comparing.columns import FIGURES, SETTINGS, named

    runs = comparison.runs
    headings = "run", *(column.title.lower() for column in FIGURES)
    figures = ((_name(run), *(_figure(column, run, runs) for column in FIGURES)) for run in runs)
    console.result(console.table(f"Comparison of {len(runs)} runs", headings, figures))
    console.result("* the best of its column. Losses and gap (training minus test accuracy) are of the last epoch.")
    headings = "run", *(column.title.lower() for column in SETTINGS), *map(named, runs[0].settings)
    settings = ((_name(run), *(c.shown(run) for c in SETTINGS), *map(spelled, run.settings.values())) for run in runs)
    console.result(console.table("Settings; all others are the same", headings, settings))
    page, table, picture = map(console.printable, (comparison.page, comparison.table, comparison.picture))
    console.result(f"{page} shows it all; {table} has the numbers, {picture} the curves.")


def _name(run: "ComparedRun") -> Text:
    return Text.assemble(run.label, (f" {run.shortfall}".rstrip(), _STYLE[run.state]))


def _figure(column: "Column", run: "ComparedRun", runs: list["ComparedRun"]) -> Text:
    from evacli.comparing.result import winners

    shown = console.printable(column.shown(run))
    best = any(winner is run for winner in winners(runs, column.name))
    return Text(f"* {shown}", "bold green") if best else Text(shown)
