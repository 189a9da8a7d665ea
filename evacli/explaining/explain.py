"""Why the network errs: maps of what it looked at in images, those that it classified wrongly first."""

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import msgspec

from evacli import console, devices, spreadsheet
from evacli.devices import Device
from evacli.errors import ConfigError
from evacli.explaining.options import TITLES, Faithfulness, Kind, Method, Of, Select, Target
from evacli.notebook import Displayed, drawn
from evacli.run import gradcam_files, trained
from evacli.run.directory import DEFAULT_RUN, RunDir, write_text_atomically
from evacli.run.locking import drawing
from evacli.run.trained import Trained

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from evacli.backend import keras
    from evacli.evaluation import EvaluatedRun
    from evacli.figures.gradcam import Explanation

PANELS = {
    "pred": "the image, the evidence for the predicted class",
    "true": "the image, the evidence for the true class",
    "both": "the image, the evidence for the predicted class, the evidence for the true class",
}

TTA = " Predicted together with its mirror image; the evidence is that of the image alone."


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A test image that was explained. Probabilities are shares of 1, the loss is in nats."""

    index: int
    name: str
    predicted: str
    predicted_probability: float
    true: str
    true_probability: float
    loss: float
    picture: str


class GradcamResult(Displayed, frozen=True, kw_only=True):
    """What was explained, and where the pictures are.

    Attributes:
        method: what made the maps.
        layer: the layer whose feature map was used; empty for a method that needs none.
        kind: which images were to be shown; "least certain" where there are no mistakes, "named" by `index`.
        found: how many there are of those.
        images: how many test images were evaluated; with a class name, how many of that class.
        mistakes: how many of them the network got wrong.
        shown: the images that were explained, in the order of the picture.
        picture: path of the grid; None if there was nothing to show.
        folder: path of the folder with a picture of each image; None if there was nothing to show.
        faithfulness: how faithful these maps are, and random ones and the centre beside them; if asked for.
    """

    method: Method = "gradcam"
    layer: str
    kind: Kind = "mistakes"
    found: int
    images: int
    mistakes: int
    shown: tuple[Shown, ...]
    picture: str | None
    folder: str | None
    faithfulness: tuple[Faithfulness, ...] = ()


def gradcam(  # noqa: PLR0913 - each parameter is an option
    run: str | Path = DEFAULT_RUN,
    *,
    data: str | os.PathLike[str] | None = None,
    n: int = 25,
    of: Of = "mistakes",
    select: Select = "worst",
    class_name: str | None = None,
    index: Sequence[int] = (),
    target: Target = "both",
    method: Method = "gradcam",
    layer: str | None = None,
    alpha: float = 0.5,
    faithfulness: bool = False,
    device: Device = "auto",
) -> GradcamResult:
    """Draw Grad-CAM of misclassified test images, in place of the pictures of an earlier call.

    A run without mistakes explains the images of which it was least certain.

    Args:
        run: the run directory, with a trained model.
        data: where the data of the run lies now, if it has moved; the run remembers.
        n: how many images at most.
        of: the images that it got wrong, those that it got right (`correct`), or `all`.
        select: `worst`: the highest losses; `random`: drawn with the run's seed; `first`: in the order of the data.
        class_name: only images that truly are of this class.
        index: the images of these numbers, from 0, whatever `n`, `of`, `select` and `class_name` say.
        target: the class whose evidence is shown: predicted, true, or one beside the other.
        method: what makes the maps; see `evacli.explaining.methods` and `occlusion`.
        layer: the layer whose feature map is used; by default the last on every path from pixels to scores whose rows
            and columns are the picture's.
        alpha: weight of the image in the overlay, 0 to 1; the heat map has the rest.
        faithfulness: measure too whether the maps show what the network uses; see `evacli.explaining.faithfulness`.
        device: "cpu", "gpu", or "auto": a GPU where TensorFlow can use one.

    Raises:
        ConfigError: if an argument cannot be used.
        RunError: if the run has no model, or its model and its data do not belong together.
        DataError: if the data cannot be read, or is not what the run was trained on.

    Example:
        >>> gradcam("runs/first", n=4).picture
        'runs/first/gradcam.png'
    """
    devices.want(device)
    _check(n, alpha)
    for option, value, choices in (
        ("--of", of, Of),
        ("--select", select, Select),
        ("--target", target, Target),
        ("--method", method, Method),
    ):
        _check_choice(option, value, get_args(choices))
    directory = RunDir(run)
    stored = trained.read(directory)
    _check_class(class_name, stored.summary.class_names)
    from evacli.explaining import section
    from evacli.explaining.choice import choose

    opened = _open(stored, data)
    chosen = chosen_layer(opened.network, opened.data.image_shape, layer, method)
    choice = choose(opened, of, select, class_name, tuple(index))
    indices = choice.indices if choice.kind == "named" else choice.indices[:n]
    explanations = _explain(opened, chosen, indices, target, method)
    measured = _measure(opened, explanations, target, method) if faithfulness and explanations else ()
    with drawing(directory):
        titles = heading(chosen, target, method, tta=opened.config.uses_tta)
        files = _draw(directory, explanations, titles, alpha)
        _write(directory, measured)
        section.renew(directory)
    result = GradcamResult(
        method=method,
        layer=chosen,
        kind=choice.kind,
        found=len(choice.indices),
        images=choice.images,
        mistakes=choice.mistakes,
        shown=tuple(_shown(opened, e, str(file)) for e, file in zip(explanations, files, strict=True)),
        picture=str(directory.gradcam_png) if files else None,
        folder=str(directory.gradcam_folder) if files else None,
        faithfulness=measured,
    )
    return drawn(result, partial(_grid, explanations, titles, alpha) if explanations else None)


def _grid(explanations: "list[Explanation]", titles: tuple[str, str], alpha: float) -> "Figure":
    from evacli.explaining.overlays import MOST_IN_GRID
    from evacli.figures.gradcam import grid

    return grid(explanations[:MOST_IN_GRID], *titles, alpha)


def explain_worst(opened: "EvaluatedRun", n: int = 25) -> None:
    """Draw what `gradcam` draws by default, of a run that is open; where there is nothing to draw, say why."""
    try:
        chosen = chosen_layer(opened.network, opened.data.image_shape, None, "gradcam")
    except ConfigError as e:
        console.note(f"The report has no Grad-CAM: {e.message}")
        return
    explanations = _explain(opened, chosen, opened.test.worst_first[:n], "both", "gradcam")
    _draw(opened.run, explanations, heading(chosen, "both", tta=opened.config.uses_tta), 0.5)


def _check(n: int, alpha: float) -> None:
    if n < 1:
        raise ConfigError(f"--n {n}: must be at least 1.")
    if not 0 <= alpha <= 1:
        raise ConfigError(f"--alpha {alpha}: must be from 0 (heat map only) to 1 (image only).")


def _check_choice(option: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ConfigError(f"{option} {value}: there is no such choice. Choose one of {', '.join(choices)}.")


def _check_class(class_name: str | None, names: Sequence[str]) -> None:
    from evacli.data.names import from_file

    if class_name is not None and from_file(class_name) not in map(from_file, names):
        raise ConfigError(f"--class {class_name}: the run has no such class.", f"Its classes are {', '.join(names)}.")


def _open(stored: Trained, moved_to: str | os.PathLike[str] | None) -> "EvaluatedRun":
    from evacli import evaluation

    opened = evaluation.open_run(stored, moved_to)
    if opened.difference:
        console.warn(opened.difference)
    return opened


def chosen_layer(network: "keras.Model", image_shape: tuple[int, ...], layer: str | None, method: Method) -> str:
    """Choose the layer that explains a network, none for a method without one, and warn if its maps may mislead.

    It is to be called before the long work, so that a wrong name is told at once.

    Raises:
        ConfigError: see `evacli.explaining.layers.choose_layer`.
    """
    if method == "occlusion":
        if layer is not None:
            raise ConfigError(f"--layer {layer} means nothing to --method occlusion.", "It covers the image itself.")
        return ""
    from evacli.explaining import heatmap
    from evacli.models import saved

    with saved.using(network):
        chosen = heatmap.choose_layer(network, image_shape, layer)
    if doubt := heatmap.caveat(network, image_shape, chosen):
        console.warn(doubt)
    return chosen


def heading(layer: str, target: Target, method: Method = "gradcam", *, tta: bool) -> tuple[str, str]:
    """Return title and subtitle of the pictures: what made the maps, and what is to be seen from left to right."""
    subtitle = f"Left to right: {PANELS[target]}." + TTA * tta
    at = f" (layer {layer})" if layer else ""
    return f"{TITLES[method]}: what the network looked at{at}", subtitle


def _explain(
    run: "EvaluatedRun", layer: str, indices: list[int], target: Target, method: Method
) -> "list[Explanation]":
    import numpy as np

    from evacli.explaining.heatmap import heat_maps
    from evacli.figures.gradcam import Explanation
    from evacli.models import saved

    if not indices:
        return []
    said, class_names = run.test, run.data.class_names
    images, predicted, true = run.data.test.images.read(indices), said.predicted[indices], said.labels[indices]
    targets = {"pred": [predicted], "true": [true], "both": [predicted, true]}[target]
    with saved.using(run.network):
        maps = heat_maps(run.network, images, np.stack(targets, axis=1), layer, method)  # (N, T, h, w)
    return [
        Explanation(
            index=i,
            image=image,
            predicted=class_names[said.predicted[i]],
            predicted_probability=float(said.probabilities[i].max()),
            true=class_names[said.labels[i]],
            true_probability=float(said.true_probability[i]),
            maps=own,
        )
        for i, image, own in zip(indices, images, maps, strict=True)
    ]


def _measure(
    run: "EvaluatedRun", explanations: "list[Explanation]", target: Target, method: Method
) -> tuple[Faithfulness, ...]:
    """Measure the maps of the first class that is shown of each image."""
    import numpy as np

    from evacli.explaining.faithfulness import compare
    from evacli.models import saved

    indices = [explanation.index for explanation in explanations]
    classes = (run.test.labels if target == "true" else run.test.predicted)[indices]
    images, maps = (np.stack(x) for x in zip(*((e.image, e.maps[0]) for e in explanations), strict=True))
    with saved.using(run.network):
        return tuple(compare(run.network, images, classes, maps, TITLES[method]))


def _write(run: RunDir, measured: tuple[Faithfulness, ...]) -> None:
    run.faithfulness.unlink(missing_ok=True)  # of other maps
    if measured:
        rows = [(one.maps, one.most, one.least, one.gap) for one in measured]
        write_text_atomically(run.faithfulness, spreadsheet.to_csv(("maps", "most", "least", "gap"), rows))


def _draw(run: RunDir, explanations: "list[Explanation]", titles: tuple[str, str], alpha: float) -> list[Path]:
    from evacli.explaining import overlays

    if explanations:
        return overlays.write(run, explanations, titles, alpha)
    gradcam_files.remove(run)
    return []


def _shown(run: "EvaluatedRun", explanation: "Explanation", picture: str) -> Shown:
    return Shown(
        index=explanation.index,
        name=run.data.test.names[explanation.index],
        predicted=explanation.predicted,
        predicted_probability=explanation.predicted_probability,
        true=run.data.class_names[run.test.labels[explanation.index]],
        true_probability=explanation.true_probability,
        loss=float(run.test.losses[explanation.index]),
        picture=picture,
    )
