"""`evacli runs`."""

from pathlib import Path
from typing import Annotated

from rich.text import Text
from typer import Argument

from evacli import console
from evacli.commands.options import RUN, JsonOption, QuietOption, configure_output
from evacli.run.listing import RunListing, runs

_STYLE = {
    "finished": "green",
    "unfinished": "yellow",
    "failed": "bold red",
    "damaged": "bold red",
    "not trained": "dim",
}


def runs_command(
    folder: Annotated[Path, Argument(help="Folder that holds runs.")] = RUN.parent,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """List the runs below a folder: state, epochs, top accuracy.

    Example: evacli runs experiments
    """
    configure_output(json, quiet)
    found = runs(folder)
    columns = ("run", "state", "model", "epochs", "top accuracy", "chosen by", "lr")
    console.result(console.table(f"Runs in {console.printable(folder)}", columns, map(_row, found)))
    console.json(found)


def _row(listing: RunListing) -> tuple[str | Text, ...]:
    return (
        listing.run,
        Text(listing.state, _STYLE[listing.state]),
        listing.model or "-",
        f"{listing.epochs_done}/{listing.epochs or '-'}",
        "-" if listing.top_accuracy is None else f"{listing.top_accuracy:.2%}",
        (listing.chosen_by or "-") + ", tta" * listing.tta,
        "-" if listing.lr is None else f"{listing.lr:.3g}",
    )
