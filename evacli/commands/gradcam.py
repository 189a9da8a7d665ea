"""`evacli gradcam`."""

import re
from typing import Annotated

from typer import Context, Option

from evacli import console
from evacli.commands.options import RUN, JsonOption, LayerOption, MovedOption, QuietOption, RunOption, configure_output
from evacli.errors import EvacliError
from evacli.explaining.explain import GradcamResult, Select, Shown, Target, gradcam
from evacli.formats import counted
from evacli.run import summary
from evacli.run.directory import RunDir

_COLUMNS = "image", "predicted", "true", "loss"
# Shells evaluate what they are offered, and the names may be a stranger's.
_HARMLESS = re.compile(r"[\w.,+@/-][\w .,+@/-]*")


def _classes(context: Context) -> list[str]:
    """Return the classes of the run that the command line names, for a shell."""
    try:
        names = summary.read(RunDir(context.params.get("run") or RUN)).class_names
    except EvacliError:
        return []
    return [name for name in names if _HARMLESS.fullmatch(name)]


def gradcam_command(  # noqa: PLR0913 - each parameter is an option
    run: RunOption = RUN,
    data: MovedOption = None,
    n: Annotated[int, Option("--n", help="Show at most N mistakes.", metavar="N")] = 25,
    select: Annotated[Select, Option(help="Those with the highest loss, some at random, or the first ones.")] = "worst",
    class_name: Annotated[
        str | None, Option("--class", help="Only images that truly are of this class.", autocompletion=_classes)
    ] = None,
    target: Annotated[Target, Option(help="Explain the predicted class, the true one, or both.")] = "both",
    layer: LayerOption = None,
    alpha: Annotated[float, Option(help="Weight of the image under the heat map, 0 to 1.")] = 0.5,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Show where the network looked in images that it got wrong (Grad-CAM).

    Example: evacli gradcam --n 25 --class cat --run runs/first
    """
    configure_output(json, quiet)
    result = gradcam(run, data=data, n=n, select=select, class_name=class_name, target=target, layer=layer, alpha=alpha)
    _show(result, n, class_name)
    console.json(result)


def _show(result: GradcamResult, n: int, class_name: str | None) -> None:
    images = counted(result.images, "test image") + (f" of class {console.printable(class_name)}" if class_name else "")
    if not result.shown:
        console.result(f"No mistakes among {images}: nothing to explain.")
        return
    console.result(console.table(f"Grad-CAM at layer {result.layer}", _COLUMNS, map(_row, result.shown)))
    fewer = f", fewer than the {n} asked for" if len(result.shown) < n else ""
    console.result(f"{len(result.shown):,} of {counted(result.mistakes, 'mistake')} among {images}{fewer}.")
    console.result(console.printable(f"{result.picture} shows them, {result.folder} has a picture of each."))


def _row(shown: Shown) -> tuple[str, ...]:
    image = str(shown.index) if shown.name.isdecimal() else f"{shown.index} {shown.name}"
    predicted = f"{shown.predicted} {shown.predicted_probability * 100:.1f} %"
    return image, predicted, f"{shown.true} {shown.true_probability * 100:.1f} %", f"{shown.loss:.2f}"
