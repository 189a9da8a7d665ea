from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from engine_room import twin
from tiny_run import make_data

from evacli import config, models
from evacli.errors import ModelError
from evacli.models.nested import all_layers
from evacli.models.regularisation import DROPOUTS, Regularisation
from evacli.training.learner import assemble

PLAIN = ((0.0,) * 3, (1.0,) * 3)


def build(name: str = "eva", **changes: object) -> keras.Model:
    keras.utils.set_random_seed(0)
    return models.build(name, (16, 16, 3), 4, *PLAIN, Regularisation(**changes))  # type: ignore[arg-type]


def dropouts(model: keras.Model) -> list[tuple[str, float]]:
    return [(type(layer).__name__, layer.rate) for layer in all_layers(model) if isinstance(layer, DROPOUTS)]


def test_rates_become_the_one_that_was_asked_for() -> None:
    assert dropouts(build()) == [("Dropout", 0.2), ("Dropout", 0.3), ("Dropout", 0.5)]
    assert dropouts(build(dropout=0.1)) == [("Dropout", 0.1)] * 3
    assert dropouts(build(dropout="none")) == [("Dropout", 0.0)] * 3
    assert dropouts(build(spatial=True)) == [("SpatialDropout2D", rate) for rate in (0.2, 0.3, 0.5)]
    assert dropouts(build(dropout=0.1, spatial=True)) == [("SpatialDropout2D", 0.1)] * 3


def test_nothing_else_of_the_network_changes() -> None:
    plain, changed = build(), build(dropout=0.1, spatial=True)
    images = np.random.default_rng(0).uniform(0, 255, (5, 16, 16, 3)).astype(np.float32)
    assert np.array_equal(plain(images), changed(images))
    assert [w.path for w in plain.weights] == [w.path for w in changed.weights]
    assert len(plain.losses) == len(changed.losses) == 6
    assert [layer.name for layer in plain.layers] == [layer.name for layer in changed.layers]


def test_without_dropout_training_sees_what_testing_does() -> None:
    images = np.random.default_rng(0).uniform(0, 255, (5, 16, 16, 3)).astype(np.float32)
    model = build(dropout="none")
    scores = [model.get_layer("block1_pool").output, model.get_layer("block1_dropout").output]
    before, after = keras.Model(model.input, scores)(images, training=True)
    assert np.array_equal(before, after)


def test_spatial_dropout_drops_whole_maps() -> None:
    model = build(dropout=0.5, spatial=True)
    maps = np.asarray(model.get_layer("block1_dropout")(np.ones((20, 8, 8, 64), np.float32), training=True))
    assert ((maps == maps[:, :1, :1]).all(), set(np.unique(maps))) == (True, {0.0, 2.0})


def test_a_network_without_dropout_says_so() -> None:
    for changes, option in (({"dropout": 0.1}, "--dropout 0.1"), ({"spatial": True}, "--spatial-dropout")):
        with pytest.raises(ModelError, match=f"{option}: the network resnet20 has no dropout layers"):
            build("resnet20", **changes)


def resolved_dropouts(**settings: Any) -> list[tuple[str, float]]:
    return dropouts(assemble(config.make({"precision": "float32"} | settings), make_data()).network)


def test_eva_drops_nothing_unless_it_is_asked_to(tmp_path: Path) -> None:
    own = (0.2, 0.3, 0.5)
    assert resolved_dropouts() == [("Dropout", 0.0)] * 3
    assert resolved_dropouts(dropout="own") == [("Dropout", rate) for rate in own]
    assert resolved_dropouts(spatial_dropout=True) == [("SpatialDropout2D", rate) for rate in own]
    (tmp_path / "mine.py").write_text(
        "import keras\n"
        "def build(shape, classes):\n"
        "    flat = [keras.Input(shape), keras.layers.Flatten(), keras.layers.Dropout(0.4)]\n"
        "    return keras.Sequential([*flat, keras.layers.Dense(classes)])\n"
    )
    assert resolved_dropouts(model=f"{tmp_path / 'mine.py'}:build") == [("Dropout", 0.4)]


def test_dropout_inside_a_nested_network_changes_too(tmp_path: Path) -> None:
    (tmp_path / "nested.py").write_text(
        "import keras\n"
        "def build(shape, classes):\n"
        "    inner = keras.Sequential([keras.Input(shape), keras.layers.Flatten(), keras.layers.Dropout(0.5)])\n"
        "    return keras.Sequential([keras.Input(shape), inner, keras.layers.Dense(classes)])\n"
    )
    # What is dropped there are no maps.
    assert dropouts(build(f"{tmp_path / 'nested.py'}:build", dropout=0.1, spatial=True)) == [("Dropout", 0.1)]


def test_input_noise_has_its_deviation_in_training_only() -> None:
    model = build(input_noise=1)  # the most that the setting allows
    noise = keras.Model(model.input, model.get_layer("input_noise").output)
    grey = np.full((50, 16, 16, 3), 100, np.float32)
    noisy = np.asarray(noise(grey, training=True))
    # 38,400 draws: their deviation deviates by 1 / sqrt(2 n) of itself
    assert noisy.std() == pytest.approx(1, rel=0.02)
    assert noisy.mean() == pytest.approx(100, abs=0.03)
    assert (np.asarray(noise(grey)) == 100).all()


def test_training_uses_all_of_it_and_saves_plain_layers(tmp_path: Path) -> None:
    made = config.make({"dropout": 0.25, "spatial_dropout": True, "input_noise": 0.1, "precision": "float32"})
    learner = assemble(made, make_data())
    assert dropouts(twin(learner)) == dropouts(learner.network) == [("SpatialDropout2D", 0.25)] * 3
    assert twin(learner).get_layer("input_noise").stddev == 0.1
    learner.network.save(tmp_path / "saved.keras")
    assert dropouts(keras.models.load_model(tmp_path / "saved.keras")) == dropouts(learner.network)
