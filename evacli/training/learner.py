"""A network, its optimizer and its stream of augmented batches, put together from a configuration and data."""

from dataclasses import dataclass
from functools import cached_property

import msgspec
import numpy as np
from numpy.typing import NDArray

from evacli import models
from evacli.backend import keras, tf
from evacli.config import Config
from evacli.data.types import Data
from evacli.engine import optimizers
from evacli.engine.augment import Augmentation
from evacli.engine.fast.moving_statistics import MovingStatistics
from evacli.engine.fast.twin import fast_copy, training_twin
from evacli.engine.precision import choose
from evacli.errors import ConfigError
from evacli.models.regularisation import Regularisation, decide_dropout
from evacli.training.batching import Batching

Colour = tuple[float, float, float]
_COUNTED = 256  # images at a time; counting takes eight bytes a pixel
_MIRRORING = 2**31  # beside the seed, where the order of an epoch has the number of the epoch


def _untuned() -> tf.data.Options:
    # There is nothing here to tune, and TensorFlow's tuner sleeps for up to a minute at a time: where it misses the
    # signal that an epoch is over, which happens, the end of the epoch waits for it.
    options = tf.data.Options()
    options.autotune.enabled = False
    return options


@dataclass(frozen=True)
class Learner:
    """What learns.

    Attributes:
        config: with every value decided.
        data: what it learns from.
        model: plain Keras layers, from raw pixels to probabilities; what a user gets.
        twin: the same network on fast layers, from raw pixels to logits, compiled; what trains.
        augmentation: applied to every training image.
        images: (N, H, W, 3) uint8, the training images where the graph reads them.
        labels: (N,) int32, theirs.
        statistics: what makes the moving statistics of BatchNorm fit for trainings of few steps.
        batching: how the images are dealt into batches.
    """

    config: Config
    data: Data
    model: keras.Model
    twin: keras.Model
    augmentation: Augmentation
    images: tf.Tensor
    labels: tf.Tensor
    statistics: MovingStatistics
    batching: Batching

    def batches(self, epoch: int, first_batch: int = 0) -> tf.data.Dataset:
        """The augmented batches of an epoch, from `first_batch` on.

        Order and augmentation are functions of (seed, epoch, batch) alone, so that an interrupted epoch goes on with
        exactly the batches that it would have had.

        Args:
            epoch: counted from 0.
            first_batch: how many batches to leave out.

        Returns:
            Tuples of (B, H, W, 3) uint8 images, (B,) int32 labels and, where several batches make one update, (B,)
            float32 weights, with which the mean over those batches is the mean over their images.
        """
        order = np.random.default_rng([self.config.seed, epoch]).permutation(len(self.data.train))
        # No two batches of a training share a seed: batches only grow, so the first epoch has the most.
        first_seed = epoch * self.batching.steps(0)

        def make(batch: tf.Tensor, dealt: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, ...]:
            indices, mirrored = dealt
            seed = tf.stack([self.config.seed, first_seed + batch])
            images, labels = tf.gather(self.images, indices), tf.gather(self.labels, indices)
            return self.augmentation(images, seed, mirrored), labels, *self._weights(tf.size(indices))

        dealt = tf.data.Dataset.from_tensor_slices((order, self._mirrored(epoch)[order]))
        batches = dealt.batch(self.batching.size(epoch))
        return batches.enumerate().skip(first_batch).map(make).prefetch(2).with_options(_untuned())

    def _mirrored(self, epoch: int) -> NDArray[np.bool_]:
        """(N,): half of the images at random, and in the next epoch the other half.

        Jordan 2024 (arXiv 2404.00498), section 3.6: so two epochs show each image both ways, where chance would show
        half of them twice the same way.
        """
        first = np.random.default_rng([self.config.seed, _MIRRORING]).random(len(self.data.train)) < 0.5
        return first if epoch % 2 == 0 else ~first

    def _weights(self, size: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Of a batch of `size` images: its share in the update, times the number of batches in the update."""
        parts = self.batching.accumulated
        if parts == 1:
            return ()
        return (tf.fill([size], tf.cast(size, tf.float32) * (parts / len(self.data.train))),)

    def judge(self) -> keras.Model:
        """The plain model as it is now, on fast layers in float32."""
        self._judge.set_weights(self.model.get_weights())
        return self._judge

    @cached_property
    def _judge(self) -> keras.Model:
        return fast_copy(self.model)

    def publish(self) -> None:
        """Copies what the twin has learnt into the plain model."""
        self.model.set_weights(self.twin.get_weights())
        self.statistics.unbias(int(self.twin.optimizer.iterations) * self.batching.accumulated)


def assemble(config: Config, data: Data) -> Learner:
    """Builds the learner; the same configuration and data give the same learner.

    Raises:
        ConfigError: if a setting does not fit the images.
        ModelError: if the network cannot be built.
    """
    config = _resolve(config, data)
    keras.utils.set_random_seed(config.seed)
    mean, std = _colour_statistics(data.train.images)
    regularisation = Regularisation.of(config)
    model = models.build(config.model, data.image_shape, data.num_classes, mean, std, regularisation)
    models.start(config.model, model, data.train.images)
    twin = training_twin(model, config.precision)
    twin.set_weights(model.get_weights())
    batching = Batching(config, len(data.train))
    statistics = MovingStatistics(model, twin, batching.fewest_steps)
    _compile(twin, config, batching.accumulated)
    fill = (round(mean[0]), round(mean[1]), round(mean[2]))
    reflect = config.crop_border == "reflect"
    augmentation = Augmentation(int(config.cutout or 0), int(config.crop or 0), bool(config.flip), fill, reflect)
    images, labels = tf.constant(data.train.images), tf.constant(data.train.labels, tf.int32)
    return Learner(config, data, model, twin, augmentation, images, labels, statistics, batching)


def _resolve(config: Config, data: Data) -> Config:
    """Decides what was left open: Cutout of half the shorter side, a crop of an eighth of it, and so on."""
    side = min(data.image_shape[:2])
    resolved = msgspec.structs.replace(
        config,
        cutout=side // 2 if config.cutout is None else config.cutout,
        crop=side // 8 if config.crop is None else config.crop,
        flip=data.mirrored if config.flip is None else config.flip,
        dropout=decide_dropout(config),
        precision=choose(config.precision),
    )
    for name, value, limit in (("cutout", resolved.cutout, 2 * side), ("crop", resolved.crop, side)):
        if value is not None and value > limit:
            raise ConfigError(f"--{name} {value} is too much for images of {side} pixels.", f"Use at most {limit}.")
    return resolved


def _colour_statistics(images: NDArray[np.uint8]) -> tuple[Colour, Colour]:
    """Mean and standard deviation of each channel in grey levels.

    The mean is rounded, so that uint8 pixels that Cutout fills with it are exactly zero after normalisation.
    """
    counts = np.zeros((3, 256), np.int64)
    for start in range(0, len(images), _COUNTED):
        some = images[start : start + _COUNTED]
        counts += [np.bincount(some[..., c].reshape(-1), minlength=256) for c in range(3)]
    levels = np.arange(256)
    mean = (counts @ levels) / counts.sum(axis=1)
    std = np.sqrt(np.maximum((counts @ levels**2) / counts.sum(axis=1) - mean**2, 1))
    return tuple(map(float, mean.round())), tuple(map(float, std))  # type: ignore[return-value]


def _compile(twin: keras.Model, config: Config, accumulated: int) -> None:
    twin.compile(
        optimizer=optimizers.make(config, twin.trainable_variables, accumulated),
        loss=_SmoothedCrossEntropy(config.label_smoothing),
        metrics=[
            keras.metrics.SparseCategoricalAccuracy(name="accuracy"),
            keras.metrics.SparseCategoricalCrossentropy(name="cross_entropy", from_logits=True),
        ],
        # XLA's CPU code for this step runs on one core and is slower.
        jit_compile=False,
    )
    # The metrics get their variables when first used; a resumed epoch restores them before that.
    twin.compute_metrics(None, tf.zeros([1], tf.int32), tf.zeros([1, twin.output_shape[-1]]))
    twin.reset_metrics()


class _SmoothedCrossEntropy(keras.losses.Loss):
    """Cross-entropy against the true class with weight 1 - s and all classes with weight s.

    Szegedy et al. 2015, arXiv 1512.00567, section 7.
    """

    def __init__(self, smoothing: float) -> None:
        super().__init__(name="loss")
        self.smoothing = smoothing

    def call(self, labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        """(B,) losses from (B,) labels and (B, C) logits."""
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.cast(tf.reshape(labels, [-1]), tf.int32), logits)
        if not self.smoothing:
            return loss
        uniform = -tf.reduce_mean(tf.nn.log_softmax(logits), axis=-1)
        return (1 - self.smoothing) * loss + self.smoothing * uniform
