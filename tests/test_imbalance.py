"""Unequal classes: the weights against scikit-learn's, and what a training makes of them."""

import numpy as np
import pytest
from engine_room import stream
from sklearn.utils.class_weight import compute_class_weight
from tiny_data import TINY

from evacli import data
from evacli.config import make
from evacli.training.imbalance import class_weights, hint

LABELS = np.array([0] * 30 + [1] * 6 + [2] * 2)


def test_balanced_weights_are_scikit_learns():
    expected = compute_class_weight("balanced", classes=np.arange(3), y=LABELS)
    np.testing.assert_allclose(class_weights(LABELS, "balanced"), expected, rtol=1e-6)


@pytest.mark.parametrize("exponent", [0.25, 0.5, 1.0])
def test_the_exponent_lies_between_all_the_same_and_balanced(exponent):
    weights = class_weights(LABELS, exponent)
    assert weights[LABELS].mean() == pytest.approx(1)
    assert weights[2] / weights[0] == pytest.approx(15**exponent)


@pytest.mark.parametrize("wanted", ["none", 0.0])
def test_without_weights_there_is_nothing_to_weigh_by(wanted):
    assert class_weights(LABELS, wanted) is None


def test_very_unequal_classes_are_told(capsys):
    hint(LABELS, ["cat", "dog", "owl"])
    assert "2 images of owl, 30 of cat" in capsys.readouterr().err
    hint(LABELS[20:], ["cat", "dog", "owl"])
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("batch_size", [16, "full"])
def test_a_training_weighs_each_image_by_its_class(tmp_path, batch_size):
    from evacli.training.learner import assemble

    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (len(LABELS), 8, 8, 3), np.uint8)
    np.savez(tmp_path / "data.npz", x_train=images, y_train=LABELS, x_test=images, y_test=LABELS)
    config = make(
        {
            "data": str(tmp_path / "data.npz"),
            "model": TINY,
            "class_weights": "balanced",
            "batch_size": batch_size,
            "precision": "float32",
        }
    )
    learner = assemble(config, data.load(config))
    weights, seen = [], []
    for _, labels, of_images in stream(learner):
        weights.append(of_images.numpy())
        seen.append(labels.numpy())
    shown, expected = np.concatenate(seen), class_weights(LABELS, "balanced")
    np.testing.assert_allclose(np.concatenate(weights), expected[shown], rtol=1e-6)
