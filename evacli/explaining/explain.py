"""Why the network errs: Grad-CAM of images that it classified wrongly."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import msgspec

from evacli import console
from evacli.errors import ConfigError
from evacli.run import gradcam_files, trained
from evacli.run.directory import DEFAULT_RUN, RunDir
from evacli.run.locking import drawing
from evacli.run.trained import Trained

if TYPE_CHECKING:
    from evacli.backend import keras
    from evacli.evaluation import EvaluatedRun
    from evacli.figures.gradcam import Explanation

Select = Literal["worst", "random", "first"]
Target = Literal["pred", "true", "both"]

PANELS = {
    "pred": "the image, the evidence for the predicted class",
    "true": "the image, the evidence for the true class",
    "both": "the image, the evidence for the predicted class, the evidence for the true class",
}

TTA = " Predicted together with its mirror image; the evidence is that of the image alone."


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A misclassified image that was explained. Probabilities are shares of 1, the loss is in nats."""

    index: int
    name: str
    predicted: str
    predicted_probability: float
    true: str
    true_probability: float
    loss: float
    picture: str


class GradcamResult(msgspec.Struct, frozen=True, kw_only=True):
    """What was explained, and where the pictures are.

    Attributes:
        layer: the layer whose feature map was used.
        images: how many test images were evaluated; with a class name, how many of that class.
        mistakes: how many of them the network got wrong.
        shown: the mistakes that were explained, in the order of the picture.
        picture: path of the grid; None if there was nothing to show.
        folder: path of the folder with a picture of each image; None if there was nothing to show.
    """

    layer: str
    images: int
    mistakes: int
    shown: tuple[Shown, ...]
    picture: str | None
    folder: str | None


def gradcam(  # noqa: PLR0913 - each parameter is an option
    run: str | Path = DEFAULT_RUN,
    *,
    data: str | os.PathLike[str] | None = None,
    n: int = 25,
    select: Select = "worst",
    class_name: str | None = None,
    target: Target = "both",
    layer: str | None = None,
    alpha: float = 0.5,
) -> GradcamResult:
    """Draw Grad-CAM of misclassified test images, in place of the pictures of an earlier call.

    Args:
        run: the run directory, with a trained model.
        data: where the data of the run lies now, if it has moved; the run remembers.
        n: how many images at most.
        select: `worst`: the highest losses; `random`: drawn with the run's seed; `first`: in the order of the data.
        class_name: only images that truly are of this class.
        target: the class whose evidence is shown: predicted, true, or one beside the other.
        layer: the layer whose feature map is used; by default the last on every path from pixels to scores whose rows
            and columns are the picture's.
        alpha: weight of the image in the overlay, 0 to 1; the heat map has the rest.

    Raises:
        ConfigError: if an argument cannot be used.
        RunError: if the run has no model, or its model and its data do not belong together.
        DataError: if the data cannot be read, or is not what the run was trained on.

    Example:
        >>> gradcam("runs/first", n=4).picture
        'runs/first/gradcam.png'
    """
    _check(n, select, target, alpha)
    directory = RunDir(run)
    stored = trained.read(directory)
    _check_class(class_name, stored.summary.class_names)
    from evacli.explaining import section

    opened, chosen = _open(stored, data, layer)
    candidates = _candidates(opened, class_name)
    mistakes = [i for i in _in_order(opened, select) if i in candidates]
    explanations = _explain(opened, chosen, mistakes[:n], target)
    with drawing(directory):
        files = _draw(directory, explanations, heading(chosen, target, tta=opened.config.uses_tta), alpha)
        section.renew(directory)
    return GradcamResult(
        layer=chosen,
        images=len(candidates),
        mistakes=len(mistakes),
        shown=tuple(_shown(opened, e, str(file)) for e, file in zip(explanations, files, strict=True)),
        picture=str(directory.gradcam_png) if files else None,
        folder=str(directory.gradcam_folder) if files else None,
    )


def explain_worst(opened: "EvaluatedRun", n: int = 25) -> None:
    """Draw what `gradcam` draws by default, of a run that is open; where there is nothing to draw, say why."""
    try:
        chosen = chosen_layer(opened.network, opened.data.image_shape, None)
    except ConfigError as e:
        console.note(f"The report has no Grad-CAM: {e.message}")
        return
    explanations = _explain(opened, chosen, opened.test.worst_first[:n], "both")
    _draw(opened.run, explanations, heading(chosen, "both", tta=opened.config.uses_tta), 0.5)


def _check(n: int, select: str, target: str, alpha: float) -> None:
    if n < 1:
        raise ConfigError(f"--n {n}: must be at least 1.")
    if not 0 <= alpha <= 1:
        raise ConfigError(f"--alpha {alpha}: must be from 0 (heat map only) to 1 (image only).")
    for option, value, choices in ("--select", select, get_args(Select)), ("--target", target, get_args(Target)):
        if value not in choices:
            raise ConfigError(f"{option} {value}: there is no such choice. Choose one of {', '.join(choices)}.")


def _check_class(class_name: str | None, names: Sequence[str]) -> None:
    from evacli.data.names import from_file

    if class_name is not None and from_file(class_name) not in map(from_file, names):
        raise ConfigError(f"--class {class_name}: the run has no such class.", f"Its classes are {', '.join(names)}.")


def _open(stored: Trained, moved_to: str | os.PathLike[str] | None, layer: str | None) -> "tuple[EvaluatedRun, str]":
    """Open the run, and choose the layer that explains it."""
    from evacli import evaluation

    opened = evaluation.open_run(stored, moved_to)
    if opened.difference:
        console.warn(opened.difference)
    return opened, chosen_layer(opened.network, opened.data.image_shape, layer)


def chosen_layer(network: "keras.Model", image_shape: tuple[int, ...], layer: str | None) -> str:
    """Choose the layer that explains a network, and warn if its maps may mislead.

    It is to be called before the long work, so that a wrong name is told at once.

    Raises:
        ConfigError: see `evacli.explaining.layers.choose_layer`.
    """
    from evacli.explaining import heatmap
    from evacli.models import saved

    with saved.using(network):
        chosen = heatmap.choose_layer(network, image_shape, layer)
    if doubt := heatmap.caveat(network, image_shape, chosen):
        console.warn(doubt)
    return chosen


def heading(layer: str, target: Target, *, tta: bool) -> tuple[str, str]:
    """Return title and subtitle of the pictures: which layer, and what is to be seen from left to right."""
    subtitle = f"Left to right: {PANELS[target]}." + TTA * tta
    return f"Grad-CAM: what the network looked at (layer {layer})", subtitle


def _candidates(run: "EvaluatedRun", class_name: str | None) -> set[int]:
    """Return the indices of the images that may be shown."""
    from evacli.data.names import from_file

    labels = run.test.labels.tolist()
    wanted = None if class_name is None else list(map(from_file, run.data.class_names)).index(from_file(class_name))
    return {i for i, label in enumerate(labels) if wanted in (None, label)}


def _in_order(run: "EvaluatedRun", select: Select) -> list[int]:
    """Return the indices of all mistakes, those to show first in front."""
    import numpy as np

    if select == "worst":
        return run.test.worst_first
    mistakes = run.test.mistakes
    if select == "random":
        mistakes = np.random.default_rng(run.config.seed).permutation(mistakes)
    return [int(i) for i in mistakes]


def _explain(run: "EvaluatedRun", layer: str, indices: list[int], target: Target) -> "list[Explanation]":
    import numpy as np

    from evacli.explaining.heatmap import grad_cam
    from evacli.figures.gradcam import Explanation
    from evacli.models import saved

    if not indices:
        return []
    said, class_names = run.test, run.data.class_names
    images, predicted, true = run.data.test.images.read(indices), said.predicted[indices], said.labels[indices]
    targets = {"pred": [predicted], "true": [true], "both": [predicted, true]}[target]
    with saved.using(run.network):
        maps = grad_cam(run.network, images, np.stack(targets, axis=1), layer)  # (N, T, h, w)
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
