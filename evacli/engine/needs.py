"""What a training takes of memory, told from its network: nothing is run."""

import math

from evacli.backend import keras
from evacli.models.nested import nodes

FLOAT = 4  # bytes
# Of the weights: the network, its twin, gradients, what the optimizer keeps, and a checkpoint.
COPIES = 5
# Of the outputs of all layers: themselves, what is kept for their gradients, and the gradients of some. Measured on eva
# at 32x32 pixels: 256 MB in batches of 48 and 391 MB in batches of 144, where this says 162 MB and 468 MB.
HELD = 2


def training(network: keras.Model, batch_size: int) -> int:
    """Estimate the bytes that steps of `batch_size` images take, beyond the images of the data set.

    Example:
        >>> pixels = keras.Input((10, 10, 3))
        >>> training(keras.Model(pixels, keras.layers.Conv2D(8, 1)(pixels)), 100)
        880640
    """
    weights = int(network.count_params())
    return FLOAT * (COPIES * weights + HELD * batch_size * sum(_outputs(network)))


def predicting(network: keras.Model, batch_size: int) -> int:
    """Estimate the bytes that `batch_size` images take at once: what the largest layer reads and writes."""
    return FLOAT * 2 * batch_size * max(_outputs(network))


def _outputs(network: keras.Model) -> list[int]:
    """Count the numbers that each layer gives of one image."""
    return [sum(math.prod(side or 1 for side in one.shape[1:]) for one in node.outputs) for node in nodes(network)]
