"""What a network makes of images before it decides: vectors that are near where it takes images to be alike."""

from collections.abc import Callable
from typing import Any

from evacli.backend import keras, tf
from evacli.models.observing import named_layers, observed

Embedded = Callable[[Any], tuple[Any, Any]]


def with_embedding(network: keras.Model) -> Embedded:
    """Return a function from images (B, H, W, 3) to what the network gives, (B, C), and to vectors (B, D) of length 1.

    A vector is what the last layer with a kernel is given, of which it makes the scores; feature maps are averaged over
    their places.
    """

    def embed(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        given: list[Any] = []

        def see(name: str, layer: Any, arguments: tuple[Any, ...], output: Any) -> Any:
            if hasattr(layer, "kernel"):
                given.append(arguments[0])
            return output

        with observed(named_layers(network), see):
            answers = network(tf.cast(images, tf.float32), training=False)
        before = tf.cast(given[-1] if given else answers, tf.float32)
        means = tf.reduce_mean(before, axis=list(range(1, len(before.shape) - 1)))
        return answers, tf.math.l2_normalize(means, axis=-1)

    traced: Embedded = tf.function(embed, autograph=False, reduce_retracing=True)
    return traced
