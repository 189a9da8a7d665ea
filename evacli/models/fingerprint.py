"""Telling whether a network is still the one that it was."""

import hashlib
import json
from typing import Any

from evacli.backend import keras
from evacli.models.nested import all_layers


def fingerprint(model: keras.Model) -> str:
    """Hexadecimal digest over the kinds and settings of a network's layers.

    The same in every process: the names of layers, which count what a process has built, are left out. How layers are
    wired is not in it, nor are their weights.
    """
    settings = [(type(layer).__name__, _settings(layer)) for layer in all_layers(model)]
    return hashlib.blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=16).hexdigest()


def _settings(layer: Any) -> dict[str, Any]:
    config = keras.saving.serialize_keras_object(layer)["config"]
    return {key: _nameless(value) for key, value in config.items() if key != "name"}


def _nameless(config: Any) -> Any:
    # A layer that another one wraps has its configuration inside of it; what else has a name needs it.
    if isinstance(config, dict):
        is_layer = "trainable" in config
        return {key: _nameless(value) for key, value in config.items() if not (is_layer and key == "name")}
    return [_nameless(value) for value in config] if isinstance(config, list | tuple) else config
