"""What the page of a report shows."""

from collections.abc import Sequence
from shlex import quote
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from evacli.catalogue.optimizers import OPTIMIZERS
from evacli.config import Config, data_name, differences, option
from evacli.data.types import Data, Split
from evacli.doubting.duplicates import Duplicate
from evacli.errors import RunError
from evacli.evaluation import Predictions
from evacli.formats import count, counted, percent, points, spelled
from evacli.imaging import opencv
from evacli.pages.render import embed
from evacli.paths import model_name
from evacli.run.directory import RunDir
from evacli.run.lr_result import suggestion
from evacli.run.summary import Advice, Summary
from evacli.training.learner import decided

if TYPE_CHECKING:
    from evacli.metrics import ClassScore
    from evacli.reporting.result import ReportResult

THUMBNAIL = 128  # longest side in pixels of an image that the page holds; smaller images are kept as they are


def thumbnail(image: NDArray[np.uint8]) -> str:
    """Return an image (H, W, 3) uint8, RGB, as the data URI of a small PNG."""
    cv2 = opencv()
    scale = THUMBNAIL / max(image.shape[:2])
    if scale < 1:
        width, height = (max(1, round(side * scale)) for side in image.shape[1::-1])
        image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA))
    _, png = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    return embed(png.tobytes())


def gallery(predictions: Predictions, split: Split, class_names: Sequence[str], indices: Sequence[int]) -> list[Any]:
    """Return what the page shows of the images at `indices`."""
    return [
        {
            "index": i,
            "uri": thumbnail(image),
            "name": split.names[i],
            "predicted": class_names[predictions.predicted[i]],
            "predicted_probability": float(predictions.probabilities[i].max()),
            "true": class_names[predictions.labels[i]],
            "true_probability": float(predictions.true_probability[i]),
        }
        for i, image in zip(indices, split.images.read(list(indices)), strict=True)
    ]


def pairs(
    duplicates: Sequence[Duplicate], train: Split, test: Split, class_names: Sequence[str]
) -> list[list[dict[str, Any]]]:
    """Return what the page shows of test images and the training images that they are."""
    return [
        [
            {"uri": thumbnail(split.images.read([i])[0]), "name": split.names[i], "class": class_names[split.labels[i]]}
            for i, split in ((pair.test, test), (pair.train, train))
        ]
        for pair in duplicates
    ]


def ordered(result: "ReportResult") -> list[tuple[int, "ClassScore"]]:
    """Return the classes as the page lists them, each with its index: many of them least recalled first."""
    classes = list(enumerate(result.classes))
    if not result.many_classes:
        return classes
    return sorted(classes, key=lambda entry: (entry[1].recall is None, entry[1].recall))


def matrix(confusions: NDArray[np.int64]) -> list[list[tuple[int, int]]]:
    """Return the confusion matrix, each count with how strong its colour is, in percent.

    That is the root of the share of the true class: otherwise the few mistakes of a good model would look like none.
    """
    shares = confusions / np.maximum(confusions.sum(axis=1, keepdims=True), 1)  # (C, C)
    weights = (100 * np.sqrt(shares)).round().astype(int)
    return [list(zip(*rows, strict=True)) for rows in zip(confusions.tolist(), weights.tolist(), strict=True)]


def title(trained: Summary, settings: Config) -> str:
    """Return the headline: which network, which data."""
    return f"{trained.model} on {data_name(settings)}"


def cards(result: "ReportResult", trained: Summary, interval: tuple[float, float]) -> list[tuple[str, str, str]]:
    """Return the headline figures: label, value, and what it means."""
    epoch = f"epoch {result.top_epoch} of {trained.epochs_done}, {result.choice}"
    if result.tta:
        epoch += "; each image evaluated together with its mirror image"
    bounds = f"95% interval {interval[0]:.2%} to {interval[1]:.2%}"
    if result.chosen_by == "test":
        epoch += f"; {bounds}"
    test = (
        "Test accuracy",
        percent(result.test_accuracy),
        f"of the same epoch, on images that chose nothing; {bounds}",
    )
    meaning = "test accuracy of the same epoch, each image evaluated together with copies shifted by a pixel"
    shifts = [] if result.shifted_accuracy is None else [("With shifts", percent(result.shifted_accuracy), meaning)]
    alone = "test accuracy of best.keras by itself, which evaluates each image without its mirror image"
    plain = [("Without TTA", percent(result.plain_accuracy), alone)] if result.tta else []
    balanced = "test accuracy as if all classes had equally many images: the mean of their recalls"
    classes = [
        ("Balanced accuracy", percent(result.balanced_accuracy), balanced),
        ("Macro F1", percent(result.macro_f1), "mean F1 of the classes, on test images"),
    ]
    training = ", ".join(filter(None, ("of the same epoch, at its end", result.without_obstacles)))
    gap = points(result.train_accuracy - result.test_accuracy)
    return [
        (f"Top {result.chosen_by} accuracy", percent(result.top_accuracy), epoch),
        *([test] if result.chosen_by == "validation" else []),
        *plain,
        *shifts,
        *(classes if result.by_class_matters else []),
        ("Training accuracy", percent(result.train_accuracy), training),
        ("Gap", gap, "percentage points, training minus test accuracy"),
        ("Mistakes", count(result.mistakes), f"of {counted(result.test_images, 'test image')}"),
    ]


def changed(trained: Summary, settings: Config, data: Data) -> list[tuple[str, object, object]]:
    """Return the settings that are not what evacli would have chosen for this data: option, value, and that choice."""
    default = decided(
        Config(model=settings.model, precision=settings.precision), data
    )  # the machine chose the precision
    if settings.batch_size == default.largest_batch:
        default = msgspec.structs.replace(default, batch_size=settings.batch_size)
    told = {"data", "dataset", "lr"}
    fields = [f for f in differences(settings, default) if f not in told and getattr(settings, f) is not None]
    found = [(option(f), spelled(getattr(settings, f)), spelled(getattr(default, f))) for f in fields]
    if settings.model != Config().model:
        found.insert(0, (option("model"), model_name(settings.model), Config().model))
    lr = [(option("lr"), f"{trained.lr:.4g}", OPTIMIZERS[settings.optimizer].lr)] if trained.lr_source == "--lr" else []
    return found + lr


def range_test(run: RunDir, trained: Summary) -> str:
    """Say in one line what became of the suggestions that the picture of the range test marks; nothing without any."""
    try:
        found = suggestion(run)
    except RunError:  # the picture is shown without it
        return ""
    if found is None:
        return ""
    taken = trained.lr_source.startswith("lr-find")
    return f"The suggestion of {found.rule}, {found.lr:.3g}, was {'' if taken else 'not '}taken."


def advised(advice: Sequence[Advice], settings: Config) -> list[Advice]:
    """Return what to try next, of the data its name, not where it lies."""
    if settings.data is None:
        return list(advice)
    place, name = quote(settings.data), quote(data_name(settings))
    return [msgspec.structs.replace(one, command=one.command.replace(place, name)) for one in advice]


def settings_table(trained: Summary, settings: Config) -> list[tuple[str, object]]:
    """Return what the run was made with: options and their values; of files their names, not where they lie."""
    values = msgspec.structs.asdict(settings)
    if settings.data is not None:
        del values["dataset"]  # its default, which was not used
        values["data"] = data_name(settings)
    values["model"] = model_name(settings.model)
    given = [(option(name), spelled(value)) for name, value in values.items() if value is not None]
    return [("learning rate", f"{trained.lr:.4g} ({trained.lr_source})"), *given]
