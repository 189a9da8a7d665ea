"""`evacli cache`."""

from datetime import datetime
from typing import Annotated

from typer import Option

from evacli import console
from evacli.commands.options import JsonOption, QuietOption, configure_output


def cache_command(
    clear: Annotated[bool, Option("--clear", help="Remove them all.")] = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """List the images that were decoded to disk because they do not fit into memory.

    The folder is what EVACLI_CACHE names, else the user's own for caches; EVACLI_CACHE_GB limits it, by default to 50.

    Example: evacli cache --clear
    """
    configure_output(json, quiet)
    from evacli.data import cache

    if clear:
        console.note(f"Removed {_gigabytes(cache.clear())} from {cache.folder()}.")
    found = cache.entries()
    rows = [
        (
            entry.data,
            f"{entry.images:,}",
            f"{entry.shape[1]}x{entry.shape[0]}",
            _gigabytes(entry.bytes),
            _day(entry.used),
        )
        for entry in found
    ]
    title = f"Decoded images in {console.printable(cache.folder())}"
    console.result(console.table(title, ("data", "images", "pixels", "size", "last used"), rows))
    console.json(found)


def _gigabytes(size: float) -> str:
    return f"{size / 2**30:.2f} GB"


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d")
