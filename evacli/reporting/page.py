"""The HTML page of a report: one file that needs nothing else."""

from base64 import b64encode
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray

from evacli import __version__
from evacli.config import Config, option
from evacli.console import printable
from evacli.data.types import Split
from evacli.evaluation import Predictions
from evacli.imaging import opencv
from evacli.run.directory import read_small
from evacli.run.summary import Summary
from evacli.training.display import duration

if TYPE_CHECKING:
    from evacli.reporting.result import ReportResult

THUMBNAIL = 128  # longest side in pixels of an image that the page holds; smaller images are kept as they are
MAX_PICTURE_BYTES = 64 * 2**20
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def percent(share: float | None, digits: int = 2) -> str:
    """A share of 1 as a person reads it; a dash for None."""
    return "\N{EN DASH}" if share is None else f"{share:.{digits}%}"


def rough(share: float) -> str:
    """A probability in a few characters."""
    return f"{share:.0%}" if share >= 0.1 else f"{share:.1%}"


def count(number: int) -> str:
    """A number of things, with its thousands set apart."""
    return f"{number:,}"


def render(**parts: Any) -> str:
    """The page as HTML; every text in `parts` is escaped, control characters are spelled out."""
    environment = Environment(
        loader=PackageLoader("evacli.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: printable(value) if type(value) is str else value,
    )
    environment.filters.update(percent=percent, rough=rough, count=count, duration=duration)
    return environment.get_template("report.html").render(parts, version=__version__)


def embed_picture(path: Path) -> str | None:
    """The PNG file at `path` as a data URI, None if there is none that can be read."""
    content = b""
    with suppress(OSError, ValueError):
        content = read_small(path, MAX_PICTURE_BYTES)
    return embed(content) if content.startswith(PNG_SIGNATURE) else None


def embed(png: bytes) -> str:
    """PNG bytes as a data URI."""
    return "data:image/png;base64," + b64encode(png).decode("ascii")


def thumbnail(image: NDArray[np.uint8]) -> str:
    """An image (H, W, 3) uint8, RGB, as the data URI of a small PNG."""
    cv2 = opencv()
    scale = THUMBNAIL / max(image.shape[:2])
    if scale < 1:
        width, height = (max(1, round(side * scale)) for side in image.shape[1::-1])
        image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA))
    _, png = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    return embed(png.tobytes())


def gallery(predictions: Predictions, split: Split, class_names: Sequence[str], indices: Sequence[int]) -> list[Any]:
    """What the page shows of the images at `indices`."""
    return [
        {
            "uri": thumbnail(split.images[i]),
            "name": split.names[i],
            "predicted": class_names[predictions.predicted[i]],
            "predicted_probability": float(predictions.probabilities[i].max()),
            "true": class_names[predictions.labels[i]],
            "true_probability": float(predictions.true_probability[i]),
        }
        for i in indices
    ]


def title(trained: Summary, settings: Config) -> str:
    """The headline: which network, which data."""
    data = Path(settings.data).name if settings.data else settings.dataset
    return f"{trained.model} on {data}"


def cards(result: "ReportResult", trained: Summary) -> list[tuple[str, str, str]]:
    """The headline figures: label, value, and what it means."""
    epoch = f"epoch {result.top_epoch} of {trained.epochs_done}, chosen by {result.chosen_by} accuracy"
    test = ("Test accuracy", percent(result.test_accuracy), "of the same epoch, on images that chose nothing")
    gap = f"{100 * (result.train_accuracy - result.test_accuracy):+.2f}"
    return [
        (f"Top {result.chosen_by} accuracy", percent(result.top_accuracy), epoch),
        *([test] if result.chosen_by == "validation" else []),
        ("Training accuracy", percent(result.train_accuracy), "same epoch, without augmentation or dropout"),
        ("Gap", gap, "percentage points, training minus test accuracy"),
        ("Mistakes", count(result.mistakes), f"of {count(result.test_images)} test images"),
    ]


def settings_table(trained: Summary, settings: Config) -> list[tuple[str, object]]:
    """What the run was made with: options and their values."""
    values = msgspec.structs.asdict(settings).items()
    given = [(option(name), _spelled(value)) for name, value in values if value is not None]
    return [("learning rate", f"{trained.lr:.4g} ({trained.lr_source})"), *given]


def _spelled(value: object) -> object:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else value
