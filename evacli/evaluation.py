"""One evaluated run: its best network, its data, and what the network says about the images."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from shlex import quote

import numpy as np
from numpy.typing import NDArray

from evacli import console, data, engine, paths
from evacli.backend import keras
from evacli.config import Config, differences
from evacli.data.images import Images
from evacli.data.names import as_text
from evacli.data.survey import fingerprint_under
from evacli.data.types import Data, Split
from evacli.engine.base import Engine, Look, View, as_it_is, mirrored
from evacli.engine.single import batch_size
from evacli.errors import DataError, ModelError, RunBusy, RunError
from evacli.formats import counted
from evacli.models import saved
from evacli.run import config_file, split_file, summary
from evacli.run.directory import RunDir
from evacli.run.locking import exclusive
from evacli.run.summary import Summary
from evacli.run.trained import Trained

# Told how many images are done.
Watch = Callable[[int], None]
# From (B, H, W, 3) images to what is shown of them.


@dataclass(frozen=True)
class Predictions:
    """What a network said about labelled images.

    Attributes:
        probabilities: (N, C) float32; each row sums to 1.
        labels: (N,) the true classes.

    Example:
        >>> Predictions(np.array([[0.9, 0.1], [0.8, 0.2]], np.float32), np.array([0, 1])).accuracy
        0.5
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

    @property
    def loss(self) -> float:
        """Mean cross-entropy."""
        return float(np.mean(self.losses))

    @cached_property
    def mistakes(self) -> NDArray[np.int64]:
        """Indices of the images whose predicted class is not the true one, ascending."""
        return np.flatnonzero(self.predicted != self.labels)

    @property
    def worst_first(self) -> list[int]:
        """Indices of the mistakes, highest loss first, equal ones by index."""
        return sorted(self.mistakes.tolist(), key=lambda i: (-self.losses[i], i))

    @property
    def accuracy(self) -> float:
        """Share of images whose predicted class is the true one; NaN without images."""
        return 1 - len(self.mistakes) / len(self.labels) if len(self.labels) else float("nan")

    def accuracy_without(self, left_out: NDArray[np.integer] | Sequence[int]) -> float | None:
        """Return the accuracy on all images but those `left_out`; None if that leaves none."""
        rest = np.setdiff1d(np.arange(len(self.labels)), left_out)
        return float(np.mean(self.predicted[rest] == self.labels[rest])) if len(rest) else None


@dataclass(frozen=True)
class EvaluatedRun:
    """A trained run with its data; what its network says about them is computed when it is asked for.

    Attributes:
        run: its directory.
        config: what it was made with.
        trained: what its training came to.
        network: its best network, from raw pixels to probabilities.
        data: what it was trained on, or what lies there now.
        difference: a sentence on how the images differ from those, empty if they do not.
        engine: what computes.
    """

    run: RunDir
    config: Config
    trained: Summary
    network: keras.Model
    data: Data
    difference: str
    engine: Engine

    @cached_property
    def test(self) -> Predictions:
        """What the network says about the test images."""
        return Predictions(mean_of_views(self._views_of_test), self.data.test.labels)

    @cached_property
    def plain_test(self) -> Predictions:
        """What the network says about the test images by itself, without test-time augmentation."""
        return Predictions(self._views_of_test[0], self.data.test.labels)

    @cached_property
    def train(self) -> Predictions:
        """What the network says about the training images, without augmentation."""
        return self._said_of_train(None)

    def train_shown(self, look: Look) -> Predictions:
        """Return `train`, which is computed anew, and show the embeddings of the training images on the way."""
        self.__dict__["train"] = self._said_of_train(look)  # where `cached_property` keeps it
        return self.train

    def _said_of_train(self, look: Look | None) -> Predictions:
        split = self.data.train
        return Predictions(mean_of_views(self._views(split, "training images", look)), split.labels)

    @cached_property
    def validation(self) -> Predictions:
        """What it says about the validation images, of which the run must have some."""
        split = self.data.validation
        assert split is not None
        return Predictions(mean_of_views(self._views(split, "validation images")), split.labels)

    @cached_property
    def shifted_test(self) -> Predictions:
        """What it says about the test images together with copies that are shifted by a pixel."""
        images, tta = self.data.test.images, self.config.uses_tta
        unshifted = self.test.probabilities
        with saved.using(self.network), progress("shifted test images", 2 * len(images)) as watch:
            answers = predict_shifted(self.engine, self.network, images, unshifted, tta=tta, watch=watch)
        return Predictions(require_numbers(self.run, answers), self.data.test.labels)

    @cached_property
    def _views_of_test(self) -> NDArray[np.float32]:
        return self._views(self.data.test, "test images")

    def embeddings(self, images: Images) -> NDArray[np.float32]:
        """Return (N, D) vectors of length 1: near where the network takes images to be alike."""
        found: list[NDArray[np.float32]] = []
        with saved.using(self.network):
            self.engine.predict(self.network, images, [as_it_is], lambda done: None, found.append)
        return np.concatenate(found)

    def _views(self, split: Split, description: str, look: Look | None = None) -> NDArray[np.float32]:
        network, tta = self.network, self.config.uses_tta
        with saved.using(network), progress(description, len(split)) as watch:
            found = predict_views(self.engine, network, split.images, tta=tta, watch=watch, look=look)
        return require_numbers(self.run, found)


@contextmanager
def progress(description: str, total: int) -> Iterator[Watch]:
    """Show a progress bar, which is moved on by calling what is yielded."""
    with console.progress_bars() as bars, console.told_late(f"Evaluating {description}"):
        task = bars.add_task(description, total=total)
        yield lambda done: bars.update(task, completed=done)


def open_run(stored: Trained, moved_to: str | os.PathLike[str] | None = None) -> EvaluatedRun:
    """Open a trained run's best network and its data.

    Args:
        stored: the run.
        moved_to: where the same data lies now, which the run then remembers; by default where the run says.

    Example:
        >>> open_run(trained.read(RunDir("runs/first"))).test.accuracy
        0.9805555555555555

    Raises:
        RunError: if its network cannot be used or was made for images of another size.
        DataError: if the data cannot be read, or has other classes than the run; or if it is to have moved, and there
            is other data.
    """
    run, settings, trained = stored
    if moved_to is None:
        config_file.require_data(run, settings)
    else:
        settings = config_file.with_data(run, moved_to)
    with console.status("Reading the model and the images"):
        network, found = load_best(run), data.load(settings, split_file.read(run, settings))
    if moved_to is None:
        difference = check_data(trained, found)
    else:
        difference = _check_moved(stored, found, paths.shown(str(settings.data)))
        _remember(run, settings)
    check_shape(network, found.image_shape)
    return EvaluatedRun(run, settings, trained, network, found, difference, engine.create())


def _check_moved(stored: Trained, found: Data, place: str) -> str:
    """Refuse data that is not what the run was trained on; return that there is no difference."""
    fix = f"For other data: evacli evaluate --data {quote(place)}{stored.directory.option}"
    try:
        difference = check_data(stored.summary, found)
    except DataError as e:
        raise DataError(e.message, fix) from e
    if difference:
        raise DataError(difference, fix)
    return difference


def _remember(run: RunDir, settings: Config) -> None:
    """Let the run remember where its data lies now."""
    before = config_file.read(run)
    if before is None or "data" not in differences(before, settings):
        return
    try:
        with exclusive(run):
            config_file.write(run, config_file.with_data(run, str(settings.data)))
    except RunBusy:  # the training under way writes the file
        console.note(f"{run.path} is being trained; it will not remember where its data lies now.")


def load_best(run: RunDir) -> keras.Model:
    """Load the network of the run's best epoch, not compiled.

    Raises:
        RunError: if it is missing, cut short, garbled, implausibly large or made for other classes than the run's.
    """
    run.require_trained()
    num_classes = len(summary.read(run).class_names)
    fix = _written_again(run)
    try:
        model = saved.load(run.best_model)
        saved.try_out(model, batch_size(model.input_shape[1:]), str(run.best_model))
    except ModelError as e:
        raise RunError(e.message, fix) from e
    if model.output_shape != (None, num_classes):
        raise RunError(
            f"{run.best_model} gives outputs of shape {model.output_shape}; the run has {num_classes} classes.", fix
        )
    return model


def require_numbers(run: RunDir, answers: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what the best network of a run said.

    Raises:
        RunError: if a probability is not finite.
    """
    # The class "not a number" would be the first one, and be right for its images.
    if not np.isfinite(answers).all():
        raise RunError(f"{run.best_model} gives probabilities that are not numbers.", _written_again(run))
    return answers


def _written_again(run: RunDir) -> str:
    return f"Delete it and run evacli train{run.option}, which writes it again from its checkpoint."


def predict(
    computes: Engine,
    network: keras.Model,
    images: Images,
    *,
    tta: bool = False,
    view: View = as_it_is,
    watch: Watch = lambda done: None,
) -> NDArray[np.float32]:
    """Compute class probabilities of images.

    Args:
        computes: the engine.
        network: takes (B, H, W, 3) pixels 0..255, gives (B, C) probabilities.
        images: N of them.
        tta: whether each image is evaluated together with its mirror image (test-time augmentation).
        view: what is shown of each block of images.
        watch: told before each block how many images are done; what it raises ends the work.

    Returns:
        (N, C) float32; with `tta` the mean over both.

    Raises:
        RunError: if the images do not have the size that the network was made for.
    """
    return mean_of_views(predict_views(computes, network, images, tta=tta, view=view, watch=watch))


def predict_views(
    computes: Engine,
    network: keras.Model,
    images: Images,
    *,
    tta: bool,
    view: View = as_it_is,
    watch: Watch = lambda done: None,
    look: Look | None = None,
) -> NDArray[np.float32]:
    """Compute class probabilities of images as they are and, with `tta`, of their mirror images.

    Args:
        computes: as for `predict`, like all the others.
        network: from pixels to probabilities.
        images: N of them.
        tta: whether there is a second view, the mirror images.
        view: what is shown of each block of images.
        watch: told before each block how many images are done.
        look: shown, block after block, the embeddings of the images as they are.

    Returns:
        (V, N, C) float32, of one view or two; `predict` gives their mean.

    Raises:
        RunError: if the images do not have the size that the network was made for.
    """
    check_shape(network, images.shape)
    return computes.predict(network, images, views_of(tta=tta, view=view), watch, look)


def views_of(*, tta: bool, view: View = as_it_is) -> list[View]:
    """Return what is shown of images: they as they are and, with `tta`, their mirror images."""
    turned: View = mirrored if view is as_it_is else partial(_mirrored, view=view)
    return [view, turned] if tta else [view]


def mean_of_views(views: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the (N, C) mean of what was said about one view or two, (V, N, C)."""
    mean: NDArray[np.float32] = (views[0] + views[1]) / 2 if len(views) == 2 else views[0]
    return mean


def predict_shifted(
    computes: Engine,
    network: keras.Model,
    images: Images,
    unshifted: NDArray[np.float32],
    *,
    tta: bool,
    watch: Watch = lambda done: None,
) -> NDArray[np.float32]:
    """Compute class probabilities of images, each evaluated together with two shifted copies.

    Copies and weights are those of airbench94 (Jordan 2024, arXiv 2404.00498): one moved a pixel up and left, one down
    and right, each with half the weight of the image itself. What is averaged are probabilities, there scores.

    Args:
        computes: as for `predict`, like the next two.
        network: from pixels to probabilities.
        images: N of them.
        unshifted: (N, C), what `predict` said about them.
        tta: whether each image was, and each copy shall be, evaluated together with its mirror image.
        watch: as for `predict`, of both copies together.

    Returns:
        (N, C) float32.
    """
    one = predict(computes, network, images, tta=tta, view=partial(_shifted, shift=1), watch=watch)
    other = predict(
        computes,
        network,
        images,
        tta=tta,
        view=partial(_shifted, shift=-1),
        watch=lambda done: watch(len(images) + done),
    )
    mean: NDArray[np.float32] = np.mean([unshifted, unshifted, one, other], axis=0)
    return mean


def _mirrored(block: NDArray[np.uint8], view: View) -> NDArray[np.uint8]:
    return mirrored(view(block))


def _shifted(block: NDArray[np.uint8], shift: int) -> NDArray[np.uint8]:
    """Move a block by `shift` pixels, up to 1, up and left (below 0: down and right); borders are reflected."""
    rows, columns = (np.pad(np.arange(extent), 1, mode="reflect")[1 + shift :][:extent] for extent in block.shape[1:3])
    return block[:, rows][:, :, columns]


def check_shape(network: keras.Model, shape: tuple[int, ...]) -> None:
    """Refuse images of a shape (H, W, 3) that `network` was not made for.

    Raises:
        RunError: naming both sizes.
    """
    expected = network.input_shape[1:]
    if len(expected) != len(shape) or any(e not in (None, s) for e, s in zip(expected, shape, strict=True)):
        raise RunError(
            f"The model was made for images of {_size(expected)}; these are {_size(shape)}.",
            "Use the data that the run was trained on.",
        )


def _size(shape: tuple[int | None, ...]) -> str:
    return "x".join("any" if side is None else str(side) for side in shape)


def check_data(trained: Summary, found: Data) -> str:
    """Compare data with what the run was trained on; the outputs of the network mean the run's classes.

    Returns:
        A sentence on how the images differ, empty if they are the same.

    Raises:
        DataError: if the classes differ, in name or in order.
    """
    expected, present = as_text(trained.class_names), as_text(found.class_names)
    if present != expected:
        difference = summary.class_difference(expected, present)
        raise DataError(
            f"The data has other classes than the run: {difference}.",
            "Use the data that the run was trained on, or train a new --run.",
        )
    if fingerprint_under(trained.class_names, found) == trained.data_fingerprint:
        return ""
    now = _sizes(len(found.train), len(found.validation or ()), len(found.test))
    then = _sizes(trained.train_images, trained.validation_images, trained.test_images)
    return f"The images are not those that the run was trained on: {now} now, {then} then{' too' * (now == then)}."


def _sizes(train: int, validation: int, test: int) -> str:
    held_back = f" + {validation:,} validation" if validation else ""
    return f"{train:,} training{held_back} + {counted(test, 'test image')}"
