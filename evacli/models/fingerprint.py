"""Telling whether a network is still the one that it was."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from evacli.backend import keras, tf
from evacli.models.nested import all_layers

# Between the digest of the layers and that of the wiring, which the earliest versions did not note.
_AND = "-"


def fingerprint(model: keras.Model) -> str:
    """Return hexadecimal digests over a network's layers, their kinds and settings, and over how they are wired.

    The same in every process: the names of layers, which count what a process has built, are left out. Their weights
    are not in it.

    Example:
        >>> fingerprint(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]))[:20]
        '80da9957a7624b534240'
    """
    return _AND.join(map(_digest, (_layers(model), _wiring(model))))


def is_of(stored: str, model: keras.Model) -> bool:
    """Tell whether a network has a fingerprint that was stored, perhaps by a version that did not note the wiring."""
    found = fingerprint(model)
    return stored == (found if _AND in stored else found.partition(_AND)[0])


def _digest(document: Any) -> str:
    return hashlib.blake2b(json.dumps(document, sort_keys=True).encode(), digest_size=16).hexdigest()


def _layers(model: keras.Model) -> list[Any]:
    return [(type(layer).__name__, _settings(layer)) for layer in all_layers(model)]


def _settings(layer: Any) -> dict[str, Any]:
    config = keras.saving.serialize_keras_object(layer)["config"]
    return {key: _nameless(value) for key, value in config.items() if key != "name"}


def _nameless(config: Any) -> Any:
    # A layer that another one wraps has its configuration inside of it; what else has a name needs it.
    if isinstance(config, dict):
        is_layer = "trainable" in config
        return {key: _nameless(value) for key, value in config.items() if not (is_layer and key == "name")}
    return [_nameless(value) for value in config] if isinstance(config, list | tuple) else config


def _wiring(model: keras.Model) -> list[Any]:
    """Describe each place of the graph: which layer or operation stands there, and what it is called with."""
    graph = getattr(model, "_functional", None) or model  # what a Sequential makes of its layers
    places = [node for level in graph._nodes_by_depth.values() for node in level]
    numbers = {operation: i for i, operation in enumerate(dict.fromkeys(node.operation for node in places))}
    sources = {id(one): (i, j) for i, node in enumerate(places) for j, one in enumerate(node.outputs)}
    described: list[Any] = [_plain(graph.outputs, sources)]
    for node in places:
        called = _plain((node.arguments.args, node.arguments.kwargs), sources)
        described.append((numbers[node.operation], type(node.operation).__name__, _inside(node.operation), called))
    return described


def _inside(operation: Any) -> Any:
    if isinstance(operation, keras.Model):
        return _wiring(operation)
    # Layers have their settings in the other digest; an operation that was made with nothing cannot tell them.
    if isinstance(operation, keras.layers.Layer) or not getattr(operation, "_auto_config", None):
        return None
    return _plain({key: value for key, value in operation.get_config().items() if key != "name"}, {})


def _plain(value: Any, sources: Mapping[int, tuple[int, int]]) -> Any:
    """Return an argument as JSON can hold it; a tensor of the graph as the place that it comes from."""
    if isinstance(value, dict):
        return {str(key): _plain(inner, sources) for key, inner in value.items()}
    if isinstance(value, slice):
        value = "slice", value.start, value.stop, value.step
    if isinstance(value, list | tuple):
        return [_plain(inner, sources) for inner in value]
    if isinstance(value, np.ndarray | np.generic | tf.Tensor):
        return np.asarray(value).tolist()
    known = value if isinstance(value, str | int | float | None) else type(value).__name__
    return sources.get(id(value), known)
