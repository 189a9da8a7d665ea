"""The layers of a network, those of networks inside it included."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from evacli.backend import keras


def all_layers(model: keras.Model) -> Iterator[Any]:
    """Every layer that is not itself a network, in the order of the graph."""
    for layer in model.layers:
        yield from all_layers(layer) if isinstance(layer, keras.Model) else (layer,)


def calls(model: keras.Model) -> Counter[Any]:
    """Return how often one call of a network calls each of its layers and operations.

    Whether such a call says `training=False` does not matter: Keras tells every layer what the outermost network is
    told.

    Example:
        >>> x = inputs = keras.Input((8, 8, 3))
        >>> norm = keras.layers.BatchNormalization()
        >>> calls(keras.Model(inputs, norm(norm(x))))[norm]
        2
    """
    return Counter(node.operation for node in nodes(model))


def nodes(model: keras.Model) -> Iterator[Any]:
    """Every place at which a layer or operation stands; those in a network inside once for each place of it."""
    graph = getattr(model, "_functional", None) or model  # what a Sequential makes of its layers
    for level in graph._nodes_by_depth.values():
        for node in level:
            yield from nodes(node.operation) if isinstance(node.operation, keras.Model) else (node,)
