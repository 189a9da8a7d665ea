"""`evacli export`."""

from typing import Annotated

from typer import Option

from evacli import console
from evacli.catalogue.exports import EXPORTS, Quantize
from evacli.commands.options import RUN, JsonOption, MovedOption, QuietOption, RunOption, configure_output
from evacli.formats import counted, percent
from evacli.using.export import ExportResult, export


def _formats() -> list[tuple[str, str]]:
    return [(name, spec.about) for name, spec in EXPORTS.items()]


def export_command(
    format: Annotated[
        str, Option(help=f"{', '.join(EXPORTS)}.", autocompletion=_formats, metavar="FORMAT", show_default=False)
    ],
    run: RunOption = RUN,
    quantize: Annotated[
        Quantize | None, Option(help="Smaller numbers, where the format has them; int8 is fitted to training images.")
    ] = None,
    tolerance: Annotated[
        float | None,
        Option(help="Share of test images whose class may change. [dim]default: 0.001, quantised 0.01[/]"),
    ] = None,
    data: MovedOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write the best network for use without evacli, and make sure that it says the same there.

    Example: evacli export --format onnx --run runs/first
    """
    configure_output(json, quiet)
    result = export(run, format, quantize=quantize, tolerance=tolerance, data=data)
    _show(result)
    console.json(result)


def _show(result: ExportResult) -> None:
    exported = f"{result.format} {result.quantize or ''}".strip()
    rows = [
        (
            f"accuracy of {counted(result.images, 'test image')}",
            percent(result.keras_accuracy),
            percent(result.accuracy),
        ),
        ("images/s", f"{result.keras_images_per_second:,.0f}", f"{result.images_per_second:,.0f}"),
        ("size", _megabytes(result.keras_bytes), _megabytes(result.bytes)),
        ("largest difference of a probability", "", f"{result.largest_difference:.1g}"),
        ("images of another class", "", f"{result.other_class:,} ({percent(result.other_class / result.images)})"),
    ]
    console.result(console.table(f"Export of {result.run}", ("measure", "best.keras", exported), rows))
    if result.run_accuracy is not None:
        console.result(
            f"The run evaluates each image with its mirror image, {percent(result.run_accuracy)} of all test images;\n"
            f"the exported network does not do that: {percent(result.plain_accuracy)}."
        )
    console.result(console.printable(f"{result.folder} has the network; model.json in it tells how to use it."))


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.2f} MB"
