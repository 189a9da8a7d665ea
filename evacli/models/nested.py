"""The layers of a network, those of networks inside it included."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from evacli.backend import keras


def all_layers(model: keras.Model) -> Iterator[Any]:
    """Yield every layer that is not itself a network, in the order of the graph."""
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
    found: Counter[Any] = Counter()
    for node in nodes(model):
        found += _called(node.operation, node.outputs[0].shape)
    return found


def _called(layer: Any, shape: tuple[int | None, ...]) -> Counter[Any]:
    """Count what one call of a layer, which gives `shape`, calls: itself and those that it wraps."""
    if isinstance(layer, keras.Model):
        return calls(layer)
    found = Counter([layer])
    if isinstance(layer, keras.layers.Wrapper):
        steps = 1
        if isinstance(layer, keras.layers.TimeDistributed):
            steps, shape = shape[1] or 1, (*shape[:1], *shape[2:])
        inside = _called(layer.layer, shape)
        found += Counter({inner: steps * count for inner, count in inside.items()})
    return found


def with_wrapped(layers: Iterable[Any]) -> Iterator[Any]:
    """Yield every layer and, after each, what it wraps; of networks that are wrapped, the layers."""
    for layer in layers:
        yield layer
        if isinstance(layer, keras.layers.Wrapper):
            inner = layer.layer
            yield from with_wrapped(all_layers(inner) if isinstance(inner, keras.Model) else [inner])


def nodes(model: keras.Model) -> Iterator[Any]:
    """Yield every place at which a layer or operation stands; those in a network inside once for each place of it."""
    graph = getattr(model, "_functional", None) or model  # what a Sequential makes of its layers
    for level in graph._nodes_by_depth.values():
        for node in level:
            yield from nodes(node.operation) if isinstance(node.operation, keras.Model) else (node,)
