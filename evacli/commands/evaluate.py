"""`evacli evaluate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from evacli import console, paths
from evacli.commands.options import RUN, DeviceOption, JsonOption, QuietOption, RunOption, configure_output
from evacli.formats import counted, loss, percent
from evacli.messages import listed

if TYPE_CHECKING:
    from evacli.using.evaluate import EvaluateResult

_LONGEST = 20  # letters of a name in the table


def evaluate_command(
    data: Annotated[
        Path,
        Option(
            help="Labelled images: a folder of class folders, or any data that train reads, whose test part counts.",
            metavar="PATH",
            show_default=False,
        ),
    ],
    run: RunOption = RUN,
    skip_bad: Annotated[bool, Option("--skip-bad", help="Go on without image files that cannot be used.")] = False,
    device: DeviceOption = "auto",
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Evaluate the trained network on other labelled images; classes are matched by name.

    Example: evacli evaluate --data photos-by-night --run runs/first
    """
    configure_output(json, quiet)
    from evacli.using.evaluate import evaluate

    result = evaluate(run, data=data, skip_bad=skip_bad, device=device)
    console.result(console.table(f"Evaluation of {result.run}", ("measure", "value"), _rows(result)))
    console.result(console.printable(f"{Path(result.figures).parent} has these figures, confusions and mistakes."))
    console.json(result)


def _rows(result: "EvaluateResult") -> list[tuple[str, str]]:
    part = f" ({result.part})" if result.part else ""
    return [
        ("data", paths.shown(result.data) + part),
        ("accuracy", percent(result.accuracy)),
        *([] if result.top5_accuracy is None else [("top-5 accuracy", percent(result.top5_accuracy))]),
        ("balanced accuracy", f"{percent(result.balanced_accuracy)} (mean recall of the classes)"),
        ("macro F1", f"{percent(result.macro_f1)} (mean F1 of the classes)"),
        ("loss", loss(result.loss)),
        ("calibration error", percent(result.calibration_error)),
        *([("evaluated", "each image together with its mirror image")] if result.tta else []),
        *_without_images(result),
        ("mistakes", f"{result.mistakes:,} of {counted(result.images, 'image')}"),
        *(("most frequent", _taken(c.true, c.predicted, c.images)) for c in result.most_confused[:1]),
    ]


def _without_images(result: "EvaluateResult") -> list[tuple[str, str]]:
    names = [name[:_LONGEST] for name in result.without_images]
    return [("no images of", listed(names, 2))] if names else []


def _taken(true: str, predicted: str, images: int) -> str:
    times = "once" if images == 1 else f"{images:,} times"
    return f"{true[:_LONGEST]} taken for {predicted[:_LONGEST]}, {times}"
