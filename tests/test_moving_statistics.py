"""BatchNorm's statistics are those of all that it has seen, however many places it stands at."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
from engine_room import train
from numpy.typing import NDArray
from tiny_run import make_data

from evacli import config
from evacli.models.nested import all_layers, calls, with_wrapped
from evacli.training.learner import Learner, assemble

NETWORKS = Path(__file__).with_name("awkward_networks.py")
Seen = list[NDArray[np.float64]]
# What the layer sees in each of a step's calls.
SEEN: dict[str, Callable[[NDArray[np.float64]], Seen]] = {
    "once": lambda x: [x],
    "twice": lambda x: [x, 1 + 2 * x],
    "backbone_twice": lambda x: [x, 1 + 2 * x],
    "in_two_backbones": lambda x: [x, 1 + 2 * x],
    "nested_twice": lambda x: [x] * 4,
    "distributed": lambda x: [x[:, :4], x[:, 4:]],
    "distributed_backbone": lambda x: [x[:, :4], x[:, 4:]],
}


def make(network: str, **settings: object) -> Learner:
    chosen = {"model": f"{NETWORKS}:{network}", "batch_size": 4, "precision": "float32", "cutout": 0, "crop": 0}
    return assemble(config.make(chosen | settings), make_data(num_train=40))


def norm(model: keras.Model) -> keras.layers.BatchNormalization:
    return next(layer for layer in with_wrapped(all_layers(model)) if layer.name == "norm")


@pytest.mark.parametrize("network", SEEN)
@pytest.mark.parametrize("steps", [1, 10])
def test_statistics_are_weighted_means_over_all_calls(network: str, steps: int) -> None:
    learner = make(network)
    used = train(learner, steps)
    learner.engine.sync(learner.network)
    normalise = learner.network.get_layer("normalise")
    pixels = [np.asarray(normalise(images.astype(np.float32)), np.float64) for images, _ in used]
    seen = [block for batch in pixels for block in SEEN[network](batch)]
    places = len(SEEN[network](pixels[0]))
    # The memory is a third of an epoch of 10 steps, in each of which it moves once a place.
    momentum = min(0.9, 1 - 3 / (10 * places))
    weights = momentum ** np.arange(len(seen))[::-1]
    found = norm(learner.network)
    expected = [np.average([f(s, (0, 1, 2)) for s in seen], axis=0, weights=weights) for f in (np.mean, np.var)]
    assert np.asarray(found.moving_mean) == pytest.approx(expected[0], abs=1e-4)
    assert np.asarray(found.moving_variance) == pytest.approx(expected[1], rel=1e-3)


@pytest.mark.parametrize("network", SEEN)
def test_calls_are_those_that_a_step_makes(network: str) -> None:
    learner = make(network)
    counted = []
    layer = norm(learner.network)
    call = layer.call
    layer.call = lambda *args, **kwargs: (counted.append(1), call(*args, **kwargs))[1]
    learner.network(np.zeros((2, 8, 8, 3), np.float32), training=True)
    assert calls(learner.network)[layer] == len(counted) == len(SEEN[network](np.zeros((1, 8))))


@pytest.mark.parametrize("network", SEEN)
def test_narrow_channels_keep_their_variance(network: str) -> None:
    # Of 1e-5 a start of 1 that is taken out too seldom or too often leaves nothing.
    learner = make(network)
    low = np.full((4, 8, 8, 3), 100, np.uint8)
    low[:, ::2] = 101
    twin = learner.engine._twin
    for _ in range(3):
        twin.train_on_batch(low, np.zeros(4, np.int32))
    learner.engine._twin.optimizer.iterations.assign(3)
    learner.engine.sync(learner.network)
    seen = SEEN[network](np.asarray(learner.network.get_layer("normalise")(low.astype(np.float32)), np.float64))
    variances = np.stack([block.var((0, 1, 2)) for block in seen])
    found = np.asarray(norm(learner.network).moving_variance)
    assert (found > 0.8 * variances.min(0)).all()
    assert (found < 1.2 * variances.max(0)).all()
