"""`evacli lr-find`."""

import math
from collections.abc import Iterator, Mapping
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
from evacli.run.lr_result import Curve, Effort, LrFindResult, Mode


@with_settings
def lr_find_command(  # noqa: PLR0913 - each parameter is an option
    settings: dict[str, Any],
    recipe: dict[str, Any],
    run: RunOption = RUN,
    min_lr: Annotated[float, Option(help="First learning rate.")] = 1e-7,
    max_lr: Annotated[float, Option(help="Last learning rate.")] = 10.0,
    effort: Annotated[
        Effort | None,
        Option(help="quick: 100 steps, normal: 300, thorough: 1,000. [dim](thorough)[/]", show_default=False),
    ] = None,
    steps: Annotated[
        int | None,
        Option(help="One sweep of so many learning rates instead, a batch each.", metavar="N", show_default=False),
    ] = None,
    mode: Annotated[Mode, Option(help="Equal factors between them, or equal differences.")] = "exp",
    all_rules: Annotated[bool, Option("--all-rules", help="Show what other rules suggest as well.")] = False,
    device: DeviceOption = "auto",
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Find a learning rate by a range test (Smith's) and short trainings at rates around the one that it suggests.

    Example: evacli lr-find --model resnet9 --batch-size 64 --run runs/second
    """
    configure_output(json, quiet)
    from evacli.lr_finder.range_test import lr_find, shown

    swept: dict[str, Any] = {"effort": effort, "steps": steps, "min_lr": min_lr, "max_lr": max_lr, "mode": mode}
    result = lr_find(run, **swept, all_rules=all_rules, device=device, **over(recipe, settings))
    _show(result, RunDir(run), shown(result, all_rules=all_rules))
    console.json(result)


_WHY = {"diverged": "exceeded four times its best", "not finite": "became infinite or NaN"}


def _show(result: LrFindResult, run: RunDir, suggestions: Mapping[str, float | None]) -> None:
    if result.curve is not None and console.stdout().is_terminal:
        console.result(_drawn(result.curve, suggestions))
    if result.short_trainings:
        title = f"Short trainings of {result.short_trainings[0].steps} steps"
        console.result(console.table(title, ("lr", "loss", ""), list(_ended(result))))
    console.result(console.table("Suggested learning rates", ("rule", "lr", ""), _rows(result, suggestions)))
    console.result(result.certainty)
    if result.stopped:
        console.note(f"Stopped at step {result.steps_taken} of {result.range.steps}: the loss {_WHY[result.stopped]}.")
    if result.config.schedule == "cyclical" and result.base_lr is not None:
        console.note(f"The loss begins to fall at {result.base_lr:.3g}: there the cycles of evacli train begin.")
    if result.config.lr != "auto":
        console.note(f"evacli train takes --lr {result.config.lr:g}, which the run has stored; --lr auto undoes that.")
    console.result(
        f"{console.printable(run.lr_find_png)} shows the curve, {console.printable(run.lr_find_csv)} has its numbers."
    )


def _ended(result: LrFindResult) -> Iterator[tuple[str, str, str]]:
    low, high = result.low or math.inf, result.high or 0
    for one in result.short_trainings:
        loss = "diverged" if one.loss is None else f"{one.loss:.3g}"
        yield f"{one.lr:.3g}", loss, "about as good as the best" if low <= one.lr <= high else ""


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
