from typing import Any

import pytest

from evacli import models
from evacli.backend import keras
from evacli.catalogue.networks import NETWORKS
from evacli.models.fingerprint import fingerprint

ARCHITECTURES = sorted(NETWORKS)


def build(name: str) -> keras.Model:
    return models.build(name, (32, 32, 3), 10, (120, 120, 120), (60, 60, 60))


def test_every_architecture_has_its_own() -> None:
    assert len({fingerprint(build(name)) for name in ARCHITECTURES}) == len(ARCHITECTURES)


def test_what_a_process_has_built_before_does_not_matter() -> None:
    assert fingerprint(build("eva")) == fingerprint(build("eva"))


def test_weights_do_not_matter() -> None:
    model = build("eva")
    before = fingerprint(model)
    model.set_weights([weight + 1 for weight in model.get_weights()])
    assert fingerprint(model) == before


def network(rate: float = 0.1, activation: str = "relu", penalty: float = 0.1, nested: bool = False) -> keras.Model:
    layers: list[Any] = [
        keras.layers.Dense(4, activation=activation, kernel_regularizer=keras.regularizers.L2(penalty)),
        keras.layers.Dropout(rate),
    ]
    return keras.Sequential([keras.Input((4,)), *([keras.Sequential(layers)] if nested else layers)])


@pytest.mark.parametrize("change", [{"rate": 0.2}, {"activation": "tanh"}, {"penalty": 0.2}])
@pytest.mark.parametrize("nested", [False, True])
def test_settings_that_no_weight_shows_matter(change: dict[str, Any], nested: bool) -> None:
    assert fingerprint(network(nested=nested)) == fingerprint(network(nested=nested))
    assert fingerprint(network(nested=nested, **change)) != fingerprint(network(nested=nested))


def test_the_counted_name_of_a_wrapped_layer_does_not_matter() -> None:
    def wrapped(filters: int) -> keras.Model:
        layer = keras.layers.SpectralNormalization(keras.layers.Conv2D(filters, 3))
        return keras.Sequential([keras.Input((8, 8, 3)), layer])

    assert fingerprint(wrapped(4)) == fingerprint(wrapped(4))
    assert fingerprint(wrapped(4)) != fingerprint(wrapped(5))
