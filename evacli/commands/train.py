"""`evacli train`."""

from typing import Annotated, Any

from typer import Option

from evacli import console
from evacli.commands.options import RUN, JsonOption, QuietOption, RunOption, configure_output, with_settings


@with_settings
def train_command(
    settings: dict[str, Any],
    run: RunOption = RUN,
    overwrite: Annotated[bool, Option("--overwrite", help="Start anew, replacing the run's results.")] = False,
    checkpoint_minutes: Annotated[float, Option(help="Save at least this often inside an epoch.")] = 5.0,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train the network and print its top accuracy; an unfinished run continues where it stopped.

    Example: evacli train --epochs 100 --run runs/first
    """
    configure_output(json, quiet)
    from evacli.training import train

    result = train(run, overwrite=overwrite, checkpoint_minutes=checkpoint_minutes, **settings)
    console.result(result.text)
    console.json(result)
