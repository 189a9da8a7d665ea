"""`evacli train`."""

import sys
from pathlib import Path
from typing import Annotated, Any

from rich.text import Text
from typer import Exit, Option

from evacli import console, workers
from evacli.catalogue.trackers import Log
from evacli.commands.options import (
    RUN,
    DeviceOption,
    JsonOption,
    QuietOption,
    RunOption,
    configure_output,
    with_settings,
)
from evacli.config import SETTINGS, check, over
from evacli.devices import MOST, Device, Number, want
from evacli.errors import ConfigError, NoSuggestion
from evacli.run.directory import RunDir
from evacli.run.summary import Summary


@with_settings
def train_command(  # noqa: PLR0913 - each parameter is an option
    settings: dict[str, Any],
    recipe: dict[str, Any],
    run: RunOption = RUN,
    overwrite: Annotated[
        bool, Option("--overwrite", help="Start anew, forgetting earlier results.", metavar="")
    ] = False,
    max_lr: Annotated[
        float | None,
        Option(
            help="Another name for --lr: the upper end.",
            metavar="X",
            rich_help_panel=SETTINGS["schedule"].says.panel,
        ),
    ] = None,
    find_lr: Annotated[
        bool,
        Option(
            "--find-lr",
            help="Of a new run: evacli lr-find first.",
            metavar="",
            rich_help_panel=SETTINGS["lr"].says.panel,
        ),
    ] = False,
    checkpoint_minutes: Annotated[
        float, Option(help="Save at least so often inside an epoch.", min=0.0, metavar="X")
    ] = 5.0,
    log: Annotated[
        Log | None,
        Option(help="Log each epoch to tensorboard, mlflow or none as well. [dim](as before)[/]", metavar="NAME"),
    ] = None,
    device: DeviceOption = "auto",
    deterministic: Annotated[
        bool, Option("--deterministic", help="On a GPU too, the same bits each time; slower.", metavar="")
    ] = False,
    devices: Annotated[
        str, Option("--devices", help="How many share each batch; all: every GPU.", metavar="N|all", show_default=True)
    ] = "1",
    processes: Annotated[
        int | None,
        Option("--workers", help="Start so many processes here that train together, to try that.", min=2, metavar="N"),
    ] = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train the network and print its top accuracy; an unfinished run continues where it stopped.

    What a setting is in a new run stands in brackets.

    Example: evacli train --epochs 100 --run runs/first
    """
    configure_output(json, quiet)
    if processes:
        raise Exit(workers.launch(processes, sys.argv[1:]))
    if find_lr and workers.place():
        raise ConfigError("--find-lr is for one process.", "Run evacli lr-find before, or give --lr.")
    want(device, deterministic=deterministic, number=(number := _number(devices)), place=workers.place())
    if max_lr is not None:
        check(settings := _with_peak(settings, max_lr))
    if find_lr:
        _look_for_rate(run, over(recipe, settings), device, overwrite=overwrite)
    from evacli.training.train import train

    summary = train(
        run,
        overwrite=overwrite,
        checkpoint_minutes=checkpoint_minutes,
        log=log,
        device=device,
        deterministic=deterministic,
        devices=number,
        **over(recipe, settings),
    )
    if (place := workers.place()) and not place.is_chief:
        return  # the chief says it
    console.result(_outcome(summary))
    directory = RunDir(run)
    following = f"evacli report{directory.option}, evacli gradcam{directory.option}"
    if summary.tta:
        console.result("best.keras by itself evaluates images without their mirror images: see evacli report.")
    console.result(f"Best model: {console.printable(directory.best_model)}; next: {console.printable(following)}")
    console.json(summary)


def _number(devices: str) -> Number:
    if devices == "all":
        return "all"
    if not devices.isdecimal():
        raise ConfigError(f"--devices {devices}: it is neither a number nor all.", f"Use 1 to {MOST}, or all.")
    return int(devices)


def _with_peak(settings: dict[str, Any], max_lr: float) -> dict[str, Any]:
    if "lr" in settings:
        raise ConfigError("--lr and --max-lr are two names for the same rate.", "Leave one of them out.")
    return settings | {"lr": max_lr}


def _look_for_rate(run: Path, settings: dict[str, Any], device: Device, *, overwrite: bool) -> None:
    """Make a range test of what is going to be trained, unless that goes on and has its rate."""
    if settings.get("lr", "auto") != "auto":
        raise ConfigError(f"--find-lr looks for what --lr {settings['lr']:g} says.", "Leave one of them out.")
    if RunDir(run).has_checkpoint:
        if overwrite:
            raise ConfigError(f"--find-lr is for a new run, and {run} is trained.", "Name another --run.")
        return
    from evacli.lr_finder.range_test import lr_find

    try:
        found = lr_find(run, device=device, **settings)
    except NoSuggestion as e:
        console.warn(f"{e.message} The training takes the optimizer's own rate.")
    else:
        console.note(f"The range test suggests {found.lr:.3g} ({found.rule}).")


def _outcome(summary: Summary) -> Text:
    top = Text.assemble(("Top accuracy ", "bold"), (f"{summary.top_accuracy:.2%}", "bold green"))
    top.append(f" in epoch {summary.top_epoch} of {summary.epochs_done}, ")
    if summary.tta:
        top.append("each image evaluated together with its mirror image, ")
    if summary.chosen_by == "validation":
        return top.append(f"{summary.choice}; that epoch's test accuracy is {summary.test_accuracy:.2%}.")
    if summary.tested_once:
        return top.append(f"{summary.choice}.")
    return top.append(f"an epoch {summary.choice} (--val-split chooses without looking at the test images).")
