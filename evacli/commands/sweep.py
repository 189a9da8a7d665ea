"""`evacli sweep`."""

from collections.abc import Sequence
from pathlib import Path
from shlex import quote, split
from typing import Annotated, Any

from rich.table import Table
from rich.text import Text
from typer import Option

from evacli import console
from evacli.commands.options import JsonOption, QuietOption, configure_output, with_settings
from evacli.formats import DASH, counted, percent, spelled
from evacli.sweeping.files import DEFAULT_SWEEP
from evacli.sweeping.plan import TRIALS, Prune
from evacli.sweeping.result import Repeated, SweepResult, TrialResult

_ROWS, _WIDTH = 20, 78
_VALUE = 12  # letters that most values do with
_STYLE = {"finished": "", "pruned": "dim", "diverged": "yellow", "failed": "bold red", "under way": "dim"}


@with_settings
def sweep_command(  # noqa: PLR0913 - each parameter is an option
    settings: dict[str, Any],
    recipe: dict[str, Any],
    search: Annotated[
        list[str] | None,
        Option(
            help="lr=1e-3..1e-1:log,optimizer=sgdw|adamw, or a .toml file. [dim](as before)[/]",
            metavar="WHAT",
            show_default=False,
        ),
    ] = None,
    trials: Annotated[
        int | None,
        Option(
            help=f"Trials in all, those done before included. [dim](as before, else {TRIALS})[/]",
            min=1,
            metavar="N",
            show_default=False,
        ),
    ] = None,
    jobs: Annotated[
        int, Option(help="Train N at a time, on a GPU each where there are several.", min=1, metavar="N")
    ] = 1,
    prune: Annotated[
        Prune | None,
        Option(
            help="Stop what promises nothing by median, hyperband or none. [dim](as before, else median)[/]",
            metavar="NAME",
            show_default=False,
        ),
    ] = None,
    seeds: Annotated[
        int, Option(help="Then train the best settings with N other seeds, and test.", min=0, metavar="N")
    ] = 0,
    sweep: Annotated[Path, Option("--sweep", help="Folder of the sweep.", metavar="PATH")] = DEFAULT_SWEEP,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train with many settings, judge them by validation images, and say which are the best.

    Needs pip install 'evacli\\[sweep]'. A sweep that was stopped goes on; several may work on one.

    Example: evacli sweep --search 'lr=1e-3..1e-1:log,optimizer=sgdw|adamw' --epochs 10
    """
    configure_output(json, quiet)
    from evacli.sweeping.sweep import sweep as run

    result = run(
        sweep, search=search or None, trials=trials, jobs=jobs, prune=prune, seeds=seeds, recipe=recipe, **settings
    )
    _show(result)
    console.json(result)


def _show(result: SweepResult) -> None:
    title = f"{counted(len(result.trials), 'trial')} of {result.sweep}, the best first"
    console.result(_table(title, result))
    if len(result.trials) > _ROWS:
        console.result(f"The first {_ROWS} of {len(result.trials)}.")
    if result.importance:
        parts = ", ".join(f"{name} {percent(part, 0)}" for name, part in result.importance.items())
        console.result(f"What matters: {parts}{_doubt(result)}.")
    if result.winner:
        console.result("")
        console.result(f"To train with the settings of trial {result.best}, on all training images:")
        console.result(folded(result.command))
        console.result("To train that trial itself on:")
        console.result(folded(result.train_on))
    if result.repeated:
        console.result(_tested(result.repeated))
    console.result(console.printable(f"{result.page} shows it all; {result.table} has the numbers."))


def folded(command: str, width: int = _WIDTH) -> str:
    """Return a command line as several, which a shell takes for one.

    Example:
        >>> print(folded("evacli train --run runs/best --lr 0.1", width=32))
        evacli train --run runs/best \\
          --lr 0.1
    """
    lines = [""]
    for word in map(quote, split(command)):
        if word.startswith("--") and len(lines[-1]) + len(word) + _VALUE > width:
            lines.append(" ")
        lines[-1] += f" {word}"
    return " \\\n".join(map(console.printable, lines))[1:]


def _doubt(result: SweepResult) -> str:
    return " (mostly chance, of so few finished trials)" if result.tells_little else ""


def _tested(repeated: Repeated) -> str:
    spread = "" if repeated.deviation is None else f" ± {100 * repeated.deviation:.2f}"
    return (
        f"On the test images, which chose nothing: {percent(repeated.test_accuracy)}{spread} "
        f"({counted(len(repeated.seeds), 'other seed')}, {repeated.chosen_by})."
    )


def _table(title: str, result: SweepResult) -> Table:
    """Return the trials; settings that are many share a column."""
    names = list(result.search)
    together = len(names) > 4
    columns = ["trial", "validation", "epoch", "state", *(["settings"] if together else names)]
    grid = console.table(title, columns, [_row(trial, names, together) for trial in result.trials[:_ROWS]])
    grid.columns[-1].justify = "left" if together else "right"
    return grid


def _row(trial: TrialResult, names: list[str], together: bool) -> Sequence[str | Text]:
    values = [str(spelled(trial.settings.get(name))) for name in names]
    drawn = [", ".join(f"{name} {spelled(value)}" for name, value in trial.settings.items())] if together else values
    epoch = f"{trial.val_epoch}/{trial.epochs}" if trial.epochs else DASH
    return [str(trial.number), percent(trial.val_accuracy), epoch, Text(trial.state, _STYLE[trial.state]), *drawn]
