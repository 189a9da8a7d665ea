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
    """Return how often one call of a network calls each of its layers.

    A layer may stand at several places, and a network inside it, with all its layers, too. Whether such a call says
    `training=False` does not matter: Keras tells every layer what the outermost network is told.

    Example:
        >>> x = inputs = keras.Input((8, 8, 3))
        >>> norm = keras.layers.BatchNormalization()
        >>> calls(keras.Model(inputs, norm(norm(x))))[norm]
        2
    """
    found: Counter[Any] = Counter()
    for part, times in _parts(model).items():
        inside = calls(part) if isinstance(part, keras.Model) else Counter([part])
        found.update({layer: times * count for layer, count in inside.items()})
    return found


def _parts(model: keras.Model) -> Counter[Any]:
    graph = getattr(model, "_functional", None) or model  # what a Sequential makes of its layers
    levels = getattr(graph, "_nodes_by_depth", None)
    if levels is None:  # a network of a class of its own
        return Counter(model.layers)
    return Counter(node.operation for nodes in levels.values() for node in nodes)
