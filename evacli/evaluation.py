"""What a run's best model says about images."""

import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evacli import console
from evacli.backend import keras
from evacli.errors import RunError
from evacli.run import summary
from evacli.run.directory import RunDir

BATCH_SIZE = 256
BATCH_PIXELS = 2**20  # of large images a batch holds fewer, so that its feature maps fit into memory
# Of a model file when unpacked. A few hundred kilobytes can hold a configuration of hundreds of megabytes.
MAX_MODEL_BYTES = 4 * 2**30
MAX_CONFIG_BYTES = 16 * 2**20


@dataclass(frozen=True)
class Predictions:
    """What a model said about labelled images.

    Attributes:
        probabilities: (N, C) float32; each row sums to 1.
        labels: (N,) the true classes.
    """

    probabilities: NDArray[np.float32]
    labels: NDArray[np.int64]

    @cached_property
    def predicted(self) -> NDArray[np.int64]:
        """(N,) the most probable class of each image."""
        predicted: NDArray[np.int64] = np.argmax(self.probabilities, axis=1)
        return predicted

    @cached_property
    def true_probability(self) -> NDArray[np.float32]:
        """(N,) the probability given to the true class."""
        return self.probabilities[np.arange(len(self.labels)), self.labels]

    @cached_property
    def losses(self) -> NDArray[np.float32]:
        """(N,) cross-entropies -log p(true class) in nats; at most 87.3, where float32 has no smaller p."""
        smallest = np.finfo(np.float32).tiny
        return -np.log(np.maximum(self.true_probability, smallest))

    @cached_property
    def mistakes(self) -> NDArray[np.int64]:
        """Indices of the images whose predicted class is not the true one, ascending."""
        return np.flatnonzero(self.predicted != self.labels)

    @property
    def accuracy(self) -> float:
        """Share of images whose predicted class is the true one; NaN without images."""
        return 1 - len(self.mistakes) / len(self.labels) if len(self.labels) else float("nan")


def load_best(run: RunDir) -> keras.Model:
    """The model of the run's best epoch, not compiled.

    Raises:
        RunError: if it is missing, cut short, garbled, implausibly large or made for other classes than the run's.
    """
    run.require_trained()
    num_classes = len(summary.read(run).class_names)
    fix = f"Delete it and run evacli train{run.option}, which writes it again from its checkpoint."
    _check_sizes(run.best_model, fix)
    try:
        model = keras.models.load_model(run.best_model, compile=False, safe_mode=True)
    except Exception as e:  # Keras raises whatever the first thing that it could not digest raised.
        raise RunError(f"{run.best_model} is not a model that Keras can load: {_first_line(e)}", fix) from e
    if model.output_shape != (None, num_classes):
        raise RunError(
            f"{run.best_model} gives outputs of shape {model.output_shape}; the run has {num_classes} classes.", fix
        )
    return model


def _check_sizes(path: Path, fix: str) -> None:
    # Before Keras sees it: of a truncated file it says "File not found".
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {member.filename: member.file_size for member in archive.infolist()}
    except (OSError, zipfile.BadZipFile) as e:
        raise RunError(f"{path} is damaged or no .keras file: {_first_line(e)}", fix) from e
    weights = sum(size for name, size in sizes.items() if name.endswith((".h5", ".npz")))
    if sum(sizes.values()) > MAX_MODEL_BYTES or sum(sizes.values()) - weights > MAX_CONFIG_BYTES:
        raise RunError(f"{path} would unpack to {sum(sizes.values()):,} bytes, too much for a model.", fix)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200].rstrip(".") + "."


def predict(model: keras.Model, images: NDArray[np.uint8], description: str) -> NDArray[np.float32]:
    """Class probabilities of `images`, in batches under a progress bar called `description`.

    Args:
        model: takes (B, H, W, 3) pixels 0..255, gives (B, C) probabilities.
        images: (N, H, W, 3) uint8.
        description: what the progress bar says.

    Returns:
        (N, C) float32.

    Raises:
        RunError: if the images do not have the size that the model was made for.
    """
    _check_shape(model, images.shape[1:])
    probabilities = np.empty((len(images), model.output_shape[-1]), np.float32)
    size = max(1, min(BATCH_SIZE, BATCH_PIXELS // (images.shape[1] * images.shape[2])))
    # One buffer of one size: no float copy of the data set, and a partial batch costs no second trace.
    batch = np.zeros((size, *images.shape[1:]), np.float32)
    for start in console.track(range(0, len(images), size), description):
        n = min(size, len(images) - start)
        batch[:n] = images[start : start + n]
        probabilities[start : start + n] = model.predict_on_batch(batch)[:n]
    return probabilities


def _check_shape(model: keras.Model, shape: tuple[int, ...]) -> None:
    expected = model.input_shape[1:]
    if len(expected) != len(shape) or any(e not in (None, s) for e, s in zip(expected, shape, strict=True)):
        raise RunError(
            f"The model was made for images of {_size(expected)}; these are {_size(shape)}.",
            "Use the data that the run was trained on.",
        )


def _size(shape: tuple[int | None, ...]) -> str:
    return "x".join("any" if side is None else str(side) for side in shape)
