"""`evacli gradcam`."""

import re
from typing import Annotated

from typer import Context, Option

from evacli import console
from evacli.commands.options import (
    RUN,
    DeviceOption,
    JsonOption,
    LayerOption,
    MethodOption,
    MovedOption,
    QuietOption,
    RunOption,
    configure_output,
)
from evacli.errors import EvacliError
from evacli.explaining.explain import GradcamResult, Shown, gradcam
from evacli.explaining.options import TITLES, Faithfulness, Of, Select, Target
from evacli.formats import counted
from evacli.run import summary
from evacli.run.directory import RunDir

_COLUMNS = "image", "predicted", "true", "loss"
_REMOVED = "pixels removed by", "most first", "least first", "gap"
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
    n: Annotated[int, Option("--n", help="Show at most N images.", metavar="N")] = 25,
    of: Annotated[Of, Option(help="Images that it got wrong, that it got right, or all.")] = "mistakes",
    select: Annotated[Select, Option(help="Those with the highest loss, some at random, or the first ones.")] = "worst",
    class_name: Annotated[
        str | None, Option("--class", help="Only images that truly are of this class.", autocompletion=_classes)
    ] = None,
    index: Annotated[
        list[int] | None, Option("--index", help="This test image, from 0; can be given several times.", metavar="N")
    ] = None,
    target: Annotated[Target, Option(help="Explain the predicted class, the true one, or both.")] = "both",
    method: MethodOption = "gradcam",
    layer: LayerOption = None,
    alpha: Annotated[float, Option(help="Weight of the image under the heat map, 0 to 1.")] = 0.5,
    faithfulness: Annotated[
        bool, Option("--faithfulness", help="Measure whether the maps show what the network uses.", metavar="")
    ] = False,
    device: DeviceOption = "auto",
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Show where the network looked in images that it got wrong (Grad-CAM).

    Where it got none wrong, in those of which it was least certain.

    Example: evacli gradcam --n 25 --class cat --run runs/first
    """
    configure_output(json, quiet)
    result = gradcam(
        run,
        data=data,
        n=n,
        of=of,
        select=select,
        class_name=class_name,
        index=index or (),
        target=target,
        method=method,
        layer=layer,
        alpha=alpha,
        faithfulness=faithfulness,
        device=device,
    )
    _show(result, n, class_name)
    console.json(result)


def _show(result: GradcamResult, n: int, class_name: str | None) -> None:
    images = counted(result.images, "test image") + (f" of class {console.printable(class_name)}" if class_name else "")
    if not result.shown:
        console.result(f"Nothing to explain among {images}.")
        return
    at = f" at layer {result.layer}" if result.layer else ""
    console.result(console.table(TITLES[result.method] + at, _COLUMNS, map(_row, result.shown)))
    console.result(_outcome(result, n, images))
    if result.faithfulness:
        console.result(
            console.table("What is left of the class's probability", _REMOVED, map(_removed, result.faithfulness))
        )
        console.result("Maps that show what the network uses have a larger gap than random ones and the centre.")
    console.result(console.printable(f"{result.picture} shows them, {result.folder} has a picture of each."))


def _outcome(result: GradcamResult, n: int, images: str) -> str:
    shown = len(result.shown)
    if result.kind == "least certain":
        return f"No mistakes among {images}: these are the {shown:,} of which the network was least certain."
    if result.kind == "named":
        return f"{shown:,} of {images}, as asked for by number."
    fewer = f", fewer than the {n} asked for" if shown < n else ""
    if result.kind == "all":
        return f"{shown:,} of {images}{fewer}."
    thing = "mistake" if result.kind == "mistakes" else "correct one"
    return f"{shown:,} of {counted(result.found, thing)} among {images}{fewer}."


def _removed(one: Faithfulness) -> tuple[str, ...]:
    return one.maps, *(f"{share:.1%}" for share in (one.most, one.least, one.gap))


def _row(shown: Shown) -> tuple[str, ...]:
    image = str(shown.index) if shown.name.isdecimal() else f"{shown.index} {shown.name}"
    predicted = f"{shown.predicted} {shown.predicted_probability * 100:.1f} %"
    return image, predicted, f"{shown.true} {shown.true_probability * 100:.1f} %", f"{shown.loss:.2f}"
