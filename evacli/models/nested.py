"""The layers of a network, those of networks inside it included."""

from collections.abc import Iterator
from typing import Any

from evacli.backend import keras


def all_layers(model: keras.Model) -> Iterator[Any]:
    """Every layer that is not itself a network, in the order of the graph."""
    for layer in model.layers:
        yield from all_layers(layer) if isinstance(layer, keras.Model) else (layer,)
