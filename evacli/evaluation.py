"""What a run's best model says about images."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from evacli import console
from evacli.backend import keras
from evacli.data.types import Data
from evacli.engine.fast import twin
from evacli.errors import DataError, ModelError, RunError
from evacli.models import saved
from evacli.run import summary
from evacli.run.directory import RunDir
from evacli.run.summary import Summary

BATCH_SIZE = 256
BATCH_PIXELS = 2**20  # of large images a batch holds fewer, so that its feature maps fit into memory
# Of what a layer computes for a batch. A few lines of a stranger's file can ask for any size.
MAX_TENSOR_BYTES = 4 * 2**30


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
    try:
        model = saved.load(run.best_model)
        largest = 4 * saved.largest_tensor(model, _batch_size(*model.input_shape[1:3]))
    except ModelError as e:
        raise RunError(e.message, fix) from e
    if model.output_shape != (None, num_classes):
        raise RunError(
            f"{run.best_model} gives outputs of shape {model.output_shape}; the run has {num_classes} classes.", fix
        )
    if largest > MAX_TENSOR_BYTES:
        raise RunError(f"{run.best_model} would need {largest / 2**30:,.0f} GiB for a single layer's output.", fix)
    return model


def judge(model: keras.Model) -> keras.Model:
    """The same network on fast layers, equal up to float32 rounding; itself if that cannot be made of it."""
    try:
        return twin.fast_copy(model)
    except ModelError:
        return model


def predict(
    model: keras.Model,
    images: NDArray[np.uint8],
    description: str,
    between: Callable[[], None] = lambda: None,
    *,
    mirror: bool = False,
    shift: int = 0,
) -> NDArray[np.float32]:
    """Class probabilities of `images`, in batches under a progress bar called `description`.

    Args:
        model: takes (B, H, W, 3) pixels 0..255, gives (B, C) probabilities.
        images: (N, H, W, 3) uint8.
        description: what the progress bar says.
        between: called before each batch; what it raises ends the work.
        mirror: whether each image is evaluated together with its mirror image.
        shift: by how many pixels, up to 1, each is moved up and left before (below 0: down and right). What comes in
            at the borders is reflected.

    Returns:
        (N, C) float32; with `mirror` the mean over both.

    Raises:
        RunError: if the images do not have the size that the model was made for.
    """
    check_shape(model, images.shape[1:])
    probabilities = np.empty((len(images), model.output_shape[-1]), np.float32)
    size = _batch_size(*images.shape[1:3])
    # One buffer of one size: no float copy of the data set, and a partial batch costs no second trace.
    batch = np.zeros((size, *images.shape[1:]), np.float32)
    for start in console.track(range(0, len(images), size), description):
        between()
        n = min(size, len(images) - start)
        batch[:n] = _shifted(images[start : start + n], shift) if shift else images[start : start + n]
        judged = model.predict_on_batch(batch)
        if mirror:
            judged = (judged + model.predict_on_batch(batch[:, :, ::-1])) / 2
        probabilities[start : start + n] = judged[:n]
    return probabilities


def predict_shifted(
    model: keras.Model, images: NDArray[np.uint8], description: str, unshifted: NDArray[np.float32], *, mirror: bool
) -> NDArray[np.float32]:
    """Class probabilities of `images`, each evaluated together with two shifted copies.

    Copies and weights are those of airbench94 (Jordan 2024, arXiv 2404.00498): one moved a pixel up and left, one down
    and right, each with half the weight of the image itself. What is averaged are probabilities, there scores.

    Args:
        model: as for `predict`, like the next two.
        images: (N, H, W, 3) uint8.
        description: what the progress bars say.
        unshifted: (N, C), what `predict` said about them.
        mirror: whether each image was, and each copy shall be, evaluated together with its mirror image.

    Returns:
        (N, C) float32.
    """
    one, other = (predict(model, images, description, mirror=mirror, shift=shift) for shift in (1, -1))
    judged: NDArray[np.float32] = np.mean([unshifted, unshifted, one, other], axis=0)
    return judged


def check_shape(model: keras.Model, shape: tuple[int, ...]) -> None:
    """Refuses images of a shape (H, W, 3) that `model` was not made for.

    Raises:
        RunError: naming both sizes.
    """
    expected = model.input_shape[1:]
    if len(expected) != len(shape) or any(e not in (None, s) for e, s in zip(expected, shape, strict=True)):
        raise RunError(
            f"The model was made for images of {_size(expected)}; these are {_size(shape)}.",
            "Use the data that the run was trained on.",
        )


def check_data(trained: Summary, data: Data) -> str:
    """Compares data with what the run was trained on; the outputs of the network mean the run's classes.

    Returns:
        A sentence on how the images differ, empty if they are the same.

    Raises:
        DataError: if the classes differ, in name or in order.
    """
    if data.class_names != trained.class_names:
        difference = summary.class_difference(trained.class_names, data.class_names)
        raise DataError(
            f"The data has other classes than the run: {difference}.",
            "Use the data that the run was trained on, or train a new --run.",
        )
    if data.fingerprint == trained.data_fingerprint:
        return ""
    now = _sizes(len(data.train), len(data.validation or ()), len(data.test))
    then = _sizes(trained.train_images, trained.validation_images, trained.test_images)
    return f"The images are not those that the run was trained on: {now} now, {then} then{' too' * (now == then)}."


def _sizes(train: int, validation: int, test: int) -> str:
    held_back = f" + {validation:,} validation" if validation else ""
    return f"{train:,} training{held_back} + {test:,} test images"


def _shifted(images: NDArray[np.uint8], shift: int) -> NDArray[np.uint8]:
    rows, columns = (np.pad(np.arange(extent), 1, mode="reflect")[1 + shift :][:extent] for extent in images.shape[1:3])
    return images[:, rows][:, :, columns]


def _batch_size(height: int, width: int) -> int:
    return max(1, min(BATCH_SIZE, BATCH_PIXELS // (height * width)))


def _size(shape: tuple[int | None, ...]) -> str:
    return "x".join("any" if side is None else str(side) for side in shape)
