from typing import Any

import pytest

from evacli import models
from evacli.backend import keras
from evacli.catalogue.networks import NETWORKS
from evacli.models.fingerprint import fingerprint, is_of

ARCHITECTURES = sorted(name for name, network in NETWORKS.items() if not network.pretrained)


def build(name: str) -> keras.Model:
    return models.build(name, (32, 32, 3), 10, (120, 120, 120), (60, 60, 60))


def test_every_architecture_has_its_own() -> None:
    assert len({fingerprint(build(name)) for name in ARCHITECTURES}) == len(ARCHITECTURES)


def test_what_a_process_has_built_before_does_not_matter() -> None:
    for name in ("eva", "resnet20"):
        assert fingerprint(build(name)) == fingerprint(build(name))


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


def wired(second_first: bool = False, factor: int = 2, padded: int = 1, step: int = 2, inside: bool = False) -> Any:
    """Two equal convolutions, a sum and a shortcut."""
    pixels = keras.Input((8, 8, 3))
    one, other = (keras.layers.Conv2D(3, 3, padding="same") for _ in range(2))
    x = one(pixels)
    x = other(pixels) + x if second_first else other(x) + pixels
    x = keras.ops.pad(x * factor, ((0, 0), (padded, padded), (0, 0), (0, 0)))[:, ::step]
    network = keras.Model(pixels, x)
    return keras.Sequential([keras.Input((8, 8, 3)), network]) if inside else network


@pytest.mark.parametrize("change", [{"second_first": True}, {"factor": 3}, {"padded": 2}, {"step": 1}])
@pytest.mark.parametrize("inside", [False, True])
def test_the_wiring_of_the_same_layers_matters(change: dict[str, Any], inside: bool) -> None:
    before, after = fingerprint(wired(inside=inside)), wired(inside=inside, **change)
    assert is_of(before, wired(inside=inside))
    assert not is_of(before, after)
    # Of a run from before it was noted, only the layers can be compared.
    assert is_of(before.partition("-")[0], after)
    assert not is_of(before.partition("-")[0], network())
