"""Keras layers that do with a part of a batch what plain ones would have done with it in the whole batch."""

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from evacli.backend import keras, tf
from evacli.engine.fast.layers import FastDropout

BYTES = 16  # that Philox draws for each value of its counter


class _Part(threading.local):
    """Which part of a batch this thread is shown. TensorFlow traces each replica in a thread of its own."""

    first: Any = 0
    whole: Any = None
    counts: Any = 1.0


_part = _Part()


@contextmanager
def showing(first: Any, whole: Any, counts: Any) -> Iterator[None]:
    """Say for the time of a block which part of a batch a network is shown.

    Args:
        first: how many images of the batch come before that part.
        whole: how many images the batch has.
        counts: 1, or 0 where the part is none of the batch's.
    """
    _part.first, _part.whole, _part.counts = first, whole, counts
    try:
        yield
    finally:
        _part.first, _part.whole, _part.counts = 0, None, 1.0


def _whole(inputs: Any) -> Any:
    return tf.shape(inputs)[0] if _part.whole is None else _part.whole


def summed(value: Any) -> Any:
    """Return the sum of a tensor, or of each of a list, over all replicas; outside of replicas, what was given.

    The gradient of that is the sum of the gradients.
    """
    context = tf.distribute.get_replica_context()
    if context is None:
        return value
    # Copies, as TensorFlow does not sum up what was an input of the function that it traces.
    return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.nest.map_structure(tf.identity, value))


class SharedBatchNormalization(keras.layers.BatchNormalization):
    """Batch normalisation by the statistics of the whole batch.

    First the mean is that of all replicas and then, from it, the variance: Keras' `synchronized` subtracts the square
    of the mean from the mean square, which leaves nothing but rounding where the mean is large.
    """

    def _moments(self, inputs: Any, mask: Any) -> tuple[Any, Any]:
        axes, shape = self._reduction_axes, tf.shape(inputs)
        per_image = tf.reduce_prod([shape[axis] for axis in axes[1:]])
        count = tf.cast(_whole(inputs) * per_image, inputs.dtype)
        mean = summed(_part.counts * tf.reduce_sum(inputs, axes)) / count
        to_channels = [1 if axis in axes else size for axis, size in enumerate(inputs.shape)]
        squares = tf.math.squared_difference(inputs, tf.reshape(mean, to_channels))
        return mean, summed(_part.counts * tf.reduce_sum(squares, axes)) / count


class SharedDropout(FastDropout):
    """Dropout whose mask is cut out of that of the whole batch."""

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Zeroes elements of `inputs` at random and scales up the others, in training."""
        if not training or not self.rate:
            return inputs
        dropped = round(self.rate * 256)
        if not 0 < dropped < 256 or self.noise_shape is not None:
            draw = functools.partial(keras.layers.Dropout.call, self, training=True)
            return inputs * _own_part(draw, tf.ones, inputs)
        kept = _random_bytes(tf.shape(inputs), self.seed_generator.next()) >= dropped
        return inputs * (tf.cast(kept, inputs.dtype) * tf.cast(256 / (256 - dropped), inputs.dtype))


def _random_bytes(shape: Any, seed: Any) -> Any:
    """Return the part's bytes of the stream that `FastDropout` draws for the whole batch: the generator can skip."""
    key, counter = tf.raw_ops.StatelessRandomGetKeyCounter(seed=tf.cast(seed, tf.int64))
    size = tf.reduce_prod(tf.cast(shape, tf.int64))
    before = tf.cast(_part.first, tf.int64) * tf.reduce_prod(tf.cast(shape[1:], tf.int64))
    skipped, rest = before // BYTES, before % BYTES
    counter += tf.stack([tf.cast(skipped, tf.uint64), tf.zeros([], tf.uint64)])
    words = tf.raw_ops.StatelessRandomUniformFullIntV2(
        shape=[(rest + size + 7) // 8], key=key, counter=counter, alg=1, dtype=tf.uint64
    )
    return tf.reshape(tf.reshape(tf.bitcast(words, tf.uint8), [-1])[rest : rest + size], shape)


class SharedSpatialDropout(keras.layers.SpatialDropout2D):
    """Dropout of whole feature maps whose mask is cut out of that of the whole batch."""

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Zeroes feature maps of `inputs` (B, H, W, C) at random and scales up the others, in training."""
        if not training or not self.rate:
            return inputs
        return inputs * _own_part(functools.partial(super().call, training=True), tf.ones, inputs)


class SharedNoise(keras.layers.GaussianNoise):
    """Gaussian noise that is cut out of that of the whole batch."""

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Add noise to `inputs`, in training."""
        if not training or not self.stddev:
            return inputs
        return inputs + _own_part(functools.partial(super().call, training=True), tf.zeros, inputs)


def _own_part(draw: Callable[[Any], Any], neutral: Callable[..., Any], inputs: Any) -> Any:
    """Return what a layer draws for the part of the batch that `inputs` are, from what it draws for the whole."""
    shape = tf.shape(inputs)
    # Of the static shape but for the number of images, which layers ask for.
    blank = tf.ensure_shape(
        neutral(tf.concat([[_whole(inputs)], shape[1:]], 0), inputs.dtype), [None, *inputs.shape[1:]]
    )
    return draw(blank)[_part.first : _part.first + shape[0]]


SHARED: dict[Any, Any] = {
    keras.layers.BatchNormalization: SharedBatchNormalization,
    keras.layers.Dropout: SharedDropout,
    keras.layers.GaussianNoise: SharedNoise,
    keras.layers.SpatialDropout2D: SharedSpatialDropout,
}
