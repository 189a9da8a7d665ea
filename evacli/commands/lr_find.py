"""`evacli lr-find`."""

from collections.abc import Mapping
from typing import Annotated, Any

from rich.text import Text
from typer import Option

from evacli import console
from evacli.commands.options import (
    RUN,
    DeviceOption,
    JsonOption,
    QuietOption,
    RunOption,
    configure_output,
    with_settings,
)
from evacli.config import over
from evacli.run.directory import RunDir
from evacli.run.lr_result import Curve, LrFindResult, Mode


@with_settings
def lr_find_command(  # noqa: PLR0913 - each parameter is an option
    settings: dict[str, Any],
    recipe: dict[str, Any],
    run: RunOption = RUN,
    min_lr: Annotated[float, Option(help="First learning rate.")] = 1e-7,
    max_lr: Annotated[float, Option(help="Last learning rate.")] = 10.0,
    steps: Annotated[int, Option(help="How many learning rates to try, a batch each.", metavar="N")] = 100,
    mode: Annotated[Mode, Option(help="Equal factors between them, or equal differences.")] = "exp",
    all_rules: Annotated[bool, Option("--all-rules", help="Show what other rules suggest as well.")] = False,
    device: DeviceOption = "auto",
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Find a learning rate: raise it batch by batch and watch the loss (Smith's range test).

    Example: evacli lr-find --model resnet9 --batch-size 64 --run runs/second
    """
    configure_output(json, quiet)
    from evacli.lr_finder.range_test import lr_find, shown

    swept: dict[str, Any] = {"min_lr": min_lr, "max_lr": max_lr, "steps": steps, "mode": mode}
    result = lr_find(run, **swept, all_rules=all_rules, device=device, **over(recipe, settings))
    _show(result, RunDir(run), shown(result, all_rules=all_rules))
    console.json(result)


_WHY = {"diverged": "exceeded four times its best", "not finite": "became infinite or NaN"}


def _show(result: LrFindResult, run: RunDir, suggestions: Mapping[str, float | None]) -> None:
    if result.curve is not None and console.stdout().is_terminal:
        console.result(_drawn(result.curve, suggestions))
    console.result(console.table("Suggested learning rates", ("rule", "lr", ""), _rows(result, suggestions)))
    if result.stopped:
        console.note(f"Stopped at step {result.steps_taken} of {result.range.steps}: the loss {_WHY[result.stopped]}.")
    if result.config.schedule == "cyclical" and result.base_lr is not None:
        console.note(f"The loss begins to fall at {result.base_lr:.3g}: there the cycles of evacli train begin.")
    if result.config.lr != "auto":
        console.note(f"evacli train takes --lr {result.config.lr:g}, which the run has stored; --lr auto undoes that.")
    console.result(
        f"{console.printable(run.lr_find_png)} shows the curve, {console.printable(run.lr_find_csv)} has its numbers."
    )


def _rows(result: LrFindResult, suggestions: Mapping[str, float | None]) -> list[tuple[str, str, str]]:
    taken = result.rule if result.config.lr == "auto" else ""
    return [
        (rule, "-" if lr is None else f"{lr:.3g}", "evacli train takes this" if rule == taken else "")
        for rule, lr in suggestions.items()
    ]


def _drawn(curve: Curve, suggestions: Mapping[str, float | None]) -> Text:
    from evacli.figures import terminal

    columns = console.stdout().width
    return Text.from_ansi(terminal.lr_find(curve.learning_rates, curve.losses, suggestions, columns))
