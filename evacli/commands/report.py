"""`evacli report`."""

from typing import TYPE_CHECKING, Annotated

from typer import Option

from evacli import console
from evacli.commands.options import RUN, DeviceOption, JsonOption, MovedOption, QuietOption, RunOption, configure_output
from evacli.formats import counted, percent

if TYPE_CHECKING:
    from evacli.reporting.result import ReportResult


ShiftsOption = Annotated[
    bool, Option("--shifts", help="Say as well how it does if images are evaluated together with shifted copies.")
]
GradcamOption = Annotated[
    bool, Option("--gradcam/--no-gradcam", help="Draw Grad-CAM of the worst mistakes, if it is not drawn yet.")
]

NearestOption = Annotated[
    bool, Option("--nearest/--no-nearest", help="Show the training images nearest to a mistake beside it.")
]


def report_command(  # noqa: PLR0913 - each parameter is an option
    run: RunOption = RUN,
    data: MovedOption = None,
    shifts: ShiftsOption = False,
    gradcam: GradcamOption = True,
    nearest: NearestOption = True,
    device: DeviceOption = "auto",
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Evaluate the trained network: curves, confusions, its worst mistakes, all in one HTML file.

    Example: evacli report --run runs/first
    """
    configure_output(json, quiet)
    from evacli.reporting.report import report

    result = report(run, data=data, shifts=shifts, gradcam=gradcam, nearest=nearest, device=device)
    console.result(console.table(f"Report of {result.run}", ("measure", "value"), _rows(result)))
    console.result(f"{console.printable(result.report)} shows it all; open it in a browser.")
    if result.advice:
        console.result("What to try next:")
    for number, advice in enumerate(result.advice, 1):
        console.result(console.printable(f"{number}. {advice.reason}"))
        console.result(console.printable(f"   {advice.command}"))
    console.json(result)


def _rows(result: "ReportResult") -> list[tuple[str, str]]:
    chosen = f"{result.top_accuracy:.2%} (epoch {result.top_epoch}, {result.choice})"
    shifted, without = result.shifted_accuracy, result.without_obstacles
    return [
        (f"top {result.chosen_by} accuracy", chosen),
        *_tta(result),
        *([("test accuracy", f"{result.test_accuracy:.2%}")] if result.chosen_by == "validation" else []),
        *([("with shifted copies as well", f"{shifted:.2%}")] if shifted is not None else []),
        *_without_duplicates(result),
        *_by_class(result),
        ("training accuracy", f"{result.train_accuracy:.2%}" + (f" ({without})" if without else "")),
        ("images", _images(result)),
        ("mistakes", f"{result.mistakes:,} of {counted(result.test_images, 'test image')}"),
        *(("most frequent", f"{c.true} taken for {c.predicted}, {_times(c.images)}") for c in result.most_confused[:1]),
    ]


def _tta(result: "ReportResult") -> list[tuple[str, str]]:
    if not result.tta:
        return []
    return [
        ("evaluated", "each image together with its mirror image"),
        ("best.keras by itself", f"{result.plain_accuracy:.2%} of the test images, without their mirror images"),
    ]


def _without_duplicates(result: "ReportResult") -> list[tuple[str, str]]:
    if not result.duplicates:
        return []
    alike = counted(result.duplicates, "test image")
    without = percent(result.accuracy_without_duplicates)
    return [("without duplicates", f"{without} ({alike} like training images)")]


def _by_class(result: "ReportResult") -> list[tuple[str, str]]:
    if not result.by_class_matters:
        return []
    return [
        ("balanced accuracy", f"{result.balanced_accuracy:.2%} (mean recall of the classes)"),
        ("macro F1", f"{result.macro_f1:.2%} (mean F1 of the classes)"),
    ]


def _images(result: "ReportResult") -> str:
    parts = {"training": result.train_images, "validation": result.validation_images, "test": result.test_images}
    return ", ".join(f"{number:,} {part}" for part, number in parts.items() if number)


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"
