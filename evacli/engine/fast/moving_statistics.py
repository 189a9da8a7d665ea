"""BatchNorm's moving statistics, made right for trainings of few steps.

Keras lets them follow the batches with a memory of a hundred steps (momentum 0.99), from a start at 0 and 1. Where an
epoch has a dozen steps, a test then judges a network by statistics that belong to the network of many epochs ago.
They move once in every call, so those of a layer that stands at several places move several times in a step.
"""

from typing import NamedTuple

from evacli.backend import keras, tf
from evacli.models.nested import all_layers, calls, with_wrapped

# How many times over a memory must fit into an epoch. From 300 steps an epoch on, Keras' default fits as it is.
MEMORIES_PER_EPOCH = 3


class Fresh(NamedTuple):
    """A BatchNorm layer whose statistics start at 0 and 1, its counterpart in the twin, and its calls in one step."""

    plain: keras.layers.BatchNormalization
    fast: keras.layers.BatchNormalization
    calls: int


class MovingStatistics:
    """The statistics that a twin learns for a plain model.

    Attributes:
        fresh: the BatchNorm layers that start at 0 and 1. Not among them: layers that do not train, or that come with
            statistics of their own.
    """

    def __init__(self, model: keras.Model, twin: keras.Model, steps_per_epoch: int) -> None:
        """Shorten the twin's memory where an epoch has few steps; before the twin's first step."""
        pairs, times = zip(_batch_norms(model), _batch_norms(twin), strict=True), calls(model)
        self.fresh = [Fresh(plain, fast, times[plain]) for plain, fast in pairs if _starts_here(plain)]
        for _, fast, count in self.fresh:
            fast.momentum = min(fast.momentum, max(0.0, 1 - MEMORIES_PER_EPOCH / (steps_per_epoch * count)))

    def unbias(self, steps: int) -> None:
        """Take what is left of the start out of the model's statistics, after `steps` steps of the twin.

        As Adam does with its moments (Kingma & Ba 2014, arXiv 1412.6980, section 3).
        """
        for plain, fast, count in self.fresh if steps else ():
            start = fast.momentum ** (steps * count)
            plain.moving_mean.assign(plain.moving_mean / (1 - start))
            # Of a constant channel, rounding may leave less than nothing.
            plain.moving_variance.assign(tf.maximum((plain.moving_variance - start) / (1 - start), 0))


def _starts_here(layer: keras.layers.BatchNormalization) -> bool:
    fresh = not tf.reduce_any(layer.moving_mean != 0) and tf.reduce_all(layer.moving_variance == 1)
    return layer.trainable and bool(fresh)


def _batch_norms(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    # One that stands in several networks inside is met several times.
    layers = with_wrapped(all_layers(model))
    return list(dict.fromkeys(layer for layer in layers if isinstance(layer, keras.layers.BatchNormalization)))
