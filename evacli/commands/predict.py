"""`evacli predict`."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Exit, Option

from evacli import console
from evacli.commands.options import (
    RUN,
    DeviceOption,
    JsonOption,
    LayerOption,
    MethodOption,
    QuietOption,
    RunOption,
    configure_output,
)
from evacli.errors import ConfigError
from evacli.using.predict import Predictor, PredictResult, Skipped, predict
from evacli.using.prediction import MOST_IN_GRID, Prediction

MOST_SHOWN = 40


def predict_command(  # noqa: PLR0913 - each parameter is an option
    pictures: Annotated[
        list[str], Argument(help="Pictures: files, folders, patterns; - for paths from stdin.", metavar="PICTURE")
    ],
    run: RunOption = RUN,
    top: Annotated[int, Option(help="Show the N most probable classes.", metavar="N")] = 1,
    out: Annotated[Path | None, Option(help="The table. [dim]default: predictions.csv in the run[/]")] = None,
    gradcam: Annotated[
        bool, Option("--gradcam", help="Draw where the network looked in each, beside the table.")
    ] = False,
    layer: LayerOption = None,
    method: MethodOption = "gradcam",
    device: DeviceOption = "auto",
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Say what pictures show, by the run's best network.

    Example: evacli predict photos/*.jpg --top 3 --run runs/first
    """
    configure_output(json, quiet)
    if top < 1:
        raise ConfigError(f"--top {top}: must be at least 1.")
    named = list(_named(pictures))
    asked: dict[str, Any] = {"out": out, "gradcam": gradcam, "layer": layer, "method": method, "device": device}
    if json:
        skipped = _as_they_come(Predictor(run, **asked), named)
    else:
        result = predict(run, named, **asked)
        _show(result, top)
        skipped = result.skipped
    for one in skipped:
        console.warn(f"{one.picture} is left out: {one.reason}.")
    if skipped:
        raise Exit(1)


def _named(pictures: list[str]) -> Iterator[str]:
    for picture in pictures:
        if picture == "-":
            yield from filter(None, (line.rstrip("\r\n") for line in sys.stdin))
        else:
            yield picture


def _as_they_come(predictor: Predictor, named: list[str]) -> list[Skipped]:
    """Print a line of JSON for each picture while the work goes on; the table is not written."""
    skipped = []
    for one in predictor.each(named):
        console.json_line(one)
        if isinstance(one, Skipped):
            skipped.append(one)
    return skipped


def _show(result: PredictResult, top: int) -> None:
    shown = result.predictions[:MOST_SHOWN]
    rows = (row for one in shown for row in _rows(one, result, top))
    console.result(console.table(f"Predictions of {result.run}", ("picture", "class", "probability"), rows))
    if len(result.predictions) > len(shown):
        console.result(f"These are the first {len(shown)} of {len(result.predictions):,}.")
    console.result(f"{console.printable(result.table)} has them all with the probability of every class.")
    if result.grid:
        shows = "shows where the network looked"
        some = f" in the first {MOST_IN_GRID}" if len(result.predictions) > MOST_IN_GRID else ""
        console.result(console.printable(f"{result.grid} {shows}{some}, {result.folder} has a picture of each."))


def _rows(one: Prediction, result: PredictResult, top: int) -> Iterator[list[str]]:
    """Yield a row for each of the most probable classes; a narrow terminal has no room for them beside each other."""
    for place, (name, share) in enumerate(result.top(one, top)):
        yield ["" if place else one.picture, name, f"{share:.1%}"]
