"""What a report says of a run's training is what that training had."""

import keras
import pytest
from keras import layers

from evacli.config import Config
from evacli.reporting.obstacles import obstacles

OFF = {"cutout": 0, "crop": 0, "flip": False}
INNER = keras.Sequential([layers.Input((8, 8, 3)), layers.SpatialDropout2D(0.1)])


def network(*some: layers.Layer) -> keras.Model:
    return keras.Sequential([layers.Input((8, 8, 3)), *some, layers.Flatten(), layers.Dense(2, activation="softmax")])


@pytest.mark.parametrize(
    ("settings", "some", "met"),
    [
        ({}, (), ()),
        ({"cutout": 16}, (), ("augmentation",)),
        ({"crop": 4}, (), ("augmentation",)),
        ({"flip": True}, (), ("augmentation",)),
        # Of the layers it counts what they do, not what the settings ask for.
        ({"dropout": "none"}, (layers.Dropout(0.0),), ()),
        ({"dropout": "own"}, (), ()),
        ({"dropout": "own"}, (layers.Dropout(0.2),), ("dropout",)),
        ({}, (layers.GaussianDropout(0.2),), ("dropout",)),
        ({}, (INNER,), ("dropout",)),
        ({}, (layers.GaussianNoise(0.1),), ("noise",)),
        ({"flip": True, "dropout": 0.5}, (layers.GaussianNoise(0.1), layers.Dropout(0.5)), None),
    ],
)
def test_only_what_a_run_has_is_named(settings: dict, some: tuple, met: tuple | None) -> None:
    expected = ("augmentation", "dropout", "noise") if met is None else met
    assert obstacles(Config(**OFF | settings), network(*some)) == expected
