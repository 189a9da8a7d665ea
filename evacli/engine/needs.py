"""What a training takes of memory, told from its network: nothing is run."""

import math

from evacli.backend import keras
from evacli.models.nested import nodes
from evacli.models.weights import COPIES, FLOAT

# Of the outputs of all layers: some are kept for the gradients, others' places are taken by gradients.
HELD = 1
# What TensorFlow takes once for its graphs, whatever the network.
GRAPHS = 90 * 2**20


def training(network: keras.Model, batch_size: int) -> int:
    """Estimate the bytes that steps of `batch_size` images take, beyond the images of the data set.

    Example:
        >>> pixels = keras.Input((10, 10, 3))
        >>> training(keras.Model(pixels, keras.layers.Conv2D(8, 1)(pixels)), 100)
        94812800
    """
    weights = int(network.count_params())
    return GRAPHS + FLOAT * (COPIES * weights + HELD * batch_size * sum(_outputs(network)))


def predicting(network: keras.Model, batch_size: int) -> int:
    """Estimate the bytes that `batch_size` images take at once: what the largest layer reads and writes."""
    return GRAPHS + FLOAT * 2 * batch_size * max(_outputs(network))


def _outputs(network: keras.Model) -> list[int]:
    """Count the numbers that each layer gives of one image."""
    return [sum(math.prod(side or 1 for side in one.shape[1:]) for one in node.outputs) for node in nodes(network)]
