"""BatchNorm's moving statistics, made right for trainings of few steps.

Keras lets them follow the batches with a memory of a hundred steps (momentum 0.99), from a start at 0 and 1. Where an
epoch has a dozen steps, a test then judges a network by statistics that belong to the network of many epochs ago.
"""

from evacli.backend import keras, tf
from evacli.models.nested import all_layers

# How many times over a memory must fit into an epoch. From 300 steps an epoch on, Keras' default fits as it is.
MEMORIES_PER_EPOCH = 3


class MovingStatistics:
    """The statistics that a twin learns for a plain model.

    Attributes:
        fresh: pairs of a BatchNorm layer of the model and its counterpart in the twin that start at 0 and 1. Not among
            them: layers that do not train, or that come with statistics of their own.
    """

    def __init__(self, model: keras.Model, twin: keras.Model, steps_per_epoch: int) -> None:
        """Shortens the twin's memory where an epoch has few steps; before the twin's first step."""
        pairs = zip(_batch_norms(model), _batch_norms(twin), strict=True)
        self.fresh = [(plain, fast) for plain, fast in pairs if _starts_here(plain)]
        for _, fast in self.fresh:
            fast.momentum = min(fast.momentum, max(0.0, 1 - MEMORIES_PER_EPOCH / steps_per_epoch))

    def unbias(self, steps: int) -> None:
        """Takes what is left of the start out of the model's statistics, after `steps` steps of the twin.

        As Adam does with its moments (Kingma & Ba 2014, arXiv 1412.6980, section 3).
        """
        for plain, fast in self.fresh if steps else ():
            start = fast.momentum**steps
            plain.moving_mean.assign(plain.moving_mean / (1 - start))
            # Of a constant channel, rounding may leave less than nothing.
            plain.moving_variance.assign(tf.maximum((plain.moving_variance - start) / (1 - start), 0))


def _starts_here(layer: keras.layers.BatchNormalization) -> bool:
    fresh = not tf.reduce_any(layer.moving_mean != 0) and tf.reduce_all(layer.moving_variance == 1)
    return layer.trainable and bool(fresh)


def _batch_norms(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    return [layer for layer in all_layers(model) if isinstance(layer, keras.layers.BatchNormalization)]
