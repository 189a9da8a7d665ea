"""The training images that are nearest to an image, as the network sees them: what it may have taken the image for."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evacli.backend import keras, tf
from evacli.data.images import Images
from evacli.engine.single import batch_size
from evacli.evaluation import Watch, progress
from evacli.explaining.layers import named_layers, observed
from evacli.models import saved
from evacli.nearest import Nearest

if TYPE_CHECKING:
    from evacli.evaluation import EvaluatedRun

NEIGHBOURS = 3
Embed = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


def neighbours(run: "EvaluatedRun", indices: Sequence[int]) -> NDArray[np.int64]:
    """Return the training images that the network takes to be most like some test images.

    Args:
        run: whose network, test and training images.
        indices: (Q,) of the test images.

    Returns:
        (Q, 3) indices of training images, the nearest first; fewer columns if there are fewer of them.
    """
    train, test = run.data.train.images, run.data.test.images
    with saved.using(run.network), progress("the nearest training images of mistakes", len(train)) as watch:
        return nearest_of(embedder(run.network), test.take(list(indices)), train, watch)


def nearest_of(embed: Embed, queries: Images, among: Images, watch: Watch = lambda done: None) -> NDArray[np.int64]:
    """Return the indices of the nearest of one collection to each image of another, by the angle between embeddings."""
    size = batch_size(among.shape)
    found = np.concatenate([embed(block) for block in queries.blocks(size)])
    nearest = Nearest(found, min(NEIGHBOURS, len(among)))
    for block in among.blocks(size):
        watch(nearest.shown)
        nearest.show(embed(block))
    return nearest.indices


def embedder(network: keras.Model) -> Embed:
    """Return a function from images (B, H, W, 3) to vectors (B, D) of length 1: what the layer before the scores gives.

    The scores are what the last layer with a kernel makes of that, and feature maps are averaged over their places.
    """

    def embed(images: tf.Tensor) -> tf.Tensor:
        given: list[Any] = []

        def see(name: str, layer: Any, arguments: tuple[Any, ...], output: Any) -> Any:
            if hasattr(layer, "kernel"):
                given.append(arguments[0])
            return output

        with observed(named_layers(network), see):
            scores = network(tf.cast(images, tf.float32), training=False)
        before = tf.cast(given[-1] if given else scores, tf.float32)
        return tf.math.l2_normalize(tf.reduce_mean(before, axis=list(range(1, len(before.shape) - 1))), axis=-1)

    traced = tf.function(embed, autograph=False, reduce_retracing=True)
    return lambda images: np.asarray(traced(images))
