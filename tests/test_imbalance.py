"""Unequal classes: the weights against scikit-learn's, and what a step makes of them."""

import numpy as np
import pytest
from engine_room import Room
from sklearn.utils.class_weight import compute_class_weight

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
