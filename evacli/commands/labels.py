"""`evacli labels`."""

from typing import TYPE_CHECKING

from evacli import console
from evacli.commands.options import RUN, DeviceOption, JsonOption, MovedOption, QuietOption, RunOption, configure_output
from evacli.formats import counted, percent

if TYPE_CHECKING:
    from evacli.doubting.labels import Suspect, Without

_ROWS = 20
_LONGEST = 14  # letters of a class in the table
_FILE = 24  # of a file


def labels_command(
    run: RunOption = RUN,
    data: MovedOption = None,
    device: DeviceOption = "auto",
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Find test and validation images whose labels may be wrong (confident learning).

    Needs pip install 'evacli\\[labels]'.

    Example: evacli labels --run runs/first
    """
    configure_output(json, quiet)
    from evacli.doubting.labels import labels

    result = labels(run, data=data, device=device)
    if result.suspects:
        title = f"Labels of {result.run} that may be wrong"
        rows = map(_row, result.suspects[:_ROWS])
        console.result(console.table(title, ("image", "label", "rather", "probability"), rows))
        if len(result.suspects) > _ROWS:
            console.result(f"The first {_ROWS} of {len(result.suspects):,}.")
    for part in result.parts:
        console.result(_accuracy(part))
    if result.picture:
        console.result(console.printable(f"{result.table} has them all, {result.picture} shows the first."))
    console.json(result)


def _row(suspect: "Suspect") -> tuple[str, ...]:
    name = "" if suspect.name.isdecimal() else f" {suspect.name[-_FILE:]}"
    validation = "validation " if suspect.part == "validation" else ""
    probability = percent(suspect.suggested_probability, 1)
    return f"{validation}{suspect.index}{name}", suspect.given[:_LONGEST], suspect.suggested[:_LONGEST], probability


def _accuracy(part: "Without") -> str:
    images = counted(part.images, f"{part.part} image")
    if not part.suspects:
        return f"No suspected labels among {images}."
    kept = counted(part.suspects, "suspected label")
    return (
        f"{part.part.capitalize()} accuracy {percent(part.accuracy)}; without the {kept} among {images} "
        f"{percent(part.accuracy_without)},\nwhich says nothing about the network: mistakes of its own are among them."
    )
