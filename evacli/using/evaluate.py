"""Evaluating the best network of a run on other labelled pictures than those that it was trained on."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from evacli import console, devices, paths
from evacli.data.names import from_file
from evacli.devices import Device
from evacli.errors import DataError
from evacli.formats import counted, without_noise
from evacli.messages import listed
from evacli.notebook import Displayed
from evacli.run import documents, evaluations, trained
from evacli.run.directory import DEFAULT_RUN, RunDir, make_folder, remove_leftovers, write_text_atomically
from evacli.run.locking import drawing
from evacli.run.trained import Trained

# TensorFlow is imported once it is known that the data has the run's classes.
if TYPE_CHECKING:
    from evacli.data.labelled import Labelled
    from evacli.data.types import Split
    from evacli.evaluation import Predictions
    from evacli.metrics import ClassScore, Confusion


class EvaluateResult(Displayed, frozen=True, kw_only=True):
    """How well a network does on labelled pictures; accuracies are shares of 1.

    Attributes:
        run: the run directory.
        data: where the pictures are.
        part: which part of that was evaluated, such as "test"; empty if it has no parts.
        images: how many pictures.
        tta: whether each was evaluated together with its mirror image, as in the run.
        accuracy: share of pictures whose most probable class is the true one.
        top5_accuracy: share whose true class is among the five most probable; None unless the run has more classes.
        balanced_accuracy: mean recall of the classes that have pictures.
        macro_f1: mean F1 of the classes that have pictures or were predicted.
        loss: mean cross-entropy in nats.
        calibration_error: how far confidence and accuracy are apart; see `metrics.calibration_error`.
        mistakes: how many pictures were taken for another class.
        without_images: the classes of the run that the data has no pictures of.
        classes: precision, recall and F1 of each class.
        most_confused: which class was taken for which most often.
        figures: the file that holds all this, `evaluation.json`.
        confusion: the picture of the confusion matrix.
        misclassified: the table of wrong predictions.
    """

    run: str
    data: str
    part: str
    images: int
    tta: bool
    accuracy: float
    top5_accuracy: float | None
    balanced_accuracy: float
    macro_f1: float
    loss: float
    calibration_error: float
    mistakes: int
    without_images: tuple[str, ...]
    classes: list["ClassScore"]
    most_confused: list["Confusion"]
    figures: str
    confusion: str
    misclassified: str


def evaluate(
    run: str | Path = DEFAULT_RUN,
    *,
    data: str | os.PathLike[str],
    skip_bad: bool = False,
    device: Device = "auto",
) -> EvaluateResult:
    """Evaluate the run's best network on labelled pictures, and write the figures into a folder of the run.

    Classes are matched by name, in any order; there may be fewer than the run has. Each picture is brought to the size
    of the network's images as in `predict`.

    Args:
        run: the run directory, with a trained model.
        data: CIFAR batches, an `.npz` or a folder of images, of which the test part counts if it has parts; or a folder
            that has a folder of images for each class.
        skip_bad: go on without image files that cannot be used.
        device: "cpu", "gpu", or "auto": a GPU where TensorFlow can use one.

    Raises:
        RunError: if the run has no model, or it cannot be used.
        DataError: if the data cannot be read, or has a class that the run does not know.

    Example:
        >>> evaluate("runs/first", data="photos-by-night").accuracy
        0.8125
    """
    devices.want(device)
    from evacli.data import path

    stored = trained.read(RunDir(run))
    place = paths.absolute(os.fspath(data))
    with console.status("Looking at the data"):
        found = path.read_labelled(place, skip_bad=skip_bad)
    numbers = _numbers(found, stored, place)
    split, said = _evaluated(stored, found, numbers)
    return _written(stored, place, found.part, split, said)


def _numbers(found: "Labelled", stored: Trained, place: str) -> list[int]:
    """Return which class of the run each class of the data is."""
    known = {from_file(name): i for i, name in enumerate(stored.summary.class_names)}
    unknown = [name for name in found.class_names if from_file(name) not in known]
    if unknown:
        what = "a class" if len(unknown) == 1 else f"{len(unknown):,} classes"
        names = listed([repr(name[:40]) for name in unknown], 3)
        raise DataError(
            f"--data {paths.shown(place)} has {what} that the run does not know: {names}.",
            f"The run knows {listed([name[:40] for name in known])}. Rename or take away what is something else.",
        )
    if len(found.class_names) < len(known):
        console.warn(
            f"The data has images of {len(found.class_names)} of the run's {counted(len(known), 'class')}; "
            "the network still chooses among all."
        )
    return [known[from_file(name)] for name in found.class_names]


def _evaluated(stored: Trained, found: "Labelled", numbers: Sequence[int]) -> "tuple[Split, Predictions]":
    import numpy as np

    with console.status("Loading the network"):
        from evacli import engine, evaluation
        from evacli.data.types import Split
        from evacli.models import saved
    network = evaluation.load_best(stored.directory)
    height, width, _ = network.input_shape[1:]
    sized = found.sized((width, height), stored.config.resize)
    split = Split(sized.images, np.array(numbers, np.int64)[sized.labels], sized.names)
    with saved.using(network), evaluation.progress("images", len(split)) as watch:
        said = evaluation.predict(engine.create(), network, split.images, tta=stored.config.uses_tta, watch=watch)
    return split, evaluation.Predictions(evaluation.require_numbers(stored.directory, said), split.labels)


def _written(stored: Trained, place: str, part: str, split: "Split", said: "Predictions") -> EvaluateResult:
    """Write what the network said, in place of what an earlier call has said about the same data."""
    from evacli import metrics
    from evacli.figures.confusion import draw_confusion
    from evacli.figures.style import save
    from evacli.reporting import mistakes

    names = stored.summary.class_names
    confusions = metrics.count_confusions(said.labels, said.predicted, len(names))
    classes = metrics.score_classes(said.labels, said.predicted, names)
    with drawing(stored.directory):
        make_folder(stored.directory.evaluations)
        folder = evaluations.folder_of(stored.directory, place)
        make_folder(folder.path)
        remove_leftovers(*folder.files)
        result = EvaluateResult(
            run=str(stored.directory.path),
            data=place,
            part=part,
            images=len(split),
            tta=stored.config.uses_tta,
            accuracy=said.accuracy,
            top5_accuracy=metrics.top_accuracy(said, 5) if len(names) > 5 else None,
            balanced_accuracy=metrics.balanced_accuracy(classes),
            macro_f1=metrics.macro_f1(classes),
            loss=float(said.losses.mean()),
            calibration_error=metrics.calibration_error(said),
            mistakes=len(said.mistakes),
            without_images=tuple(score.name for score in classes if not score.images),
            classes=classes,
            most_confused=metrics.most_confused(confusions, names),
            figures=str(folder.figures),
            confusion=str(folder.confusion_png),
            misclassified=str(folder.misclassified),
        )
        save(draw_confusion(confusions, names, folder.path.name), folder.confusion_png)
        write_text_atomically(folder.misclassified, mistakes.to_csv(said, split, names))
        documents.write(folder.figures, without_noise(msgspec.to_builtins(result)))
    return result
