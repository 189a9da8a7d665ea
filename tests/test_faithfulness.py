"""Remove and debias: what takes the place of removed pixels, and maps that are known to be right or wrong."""

import keras
import numpy as np
import pandas as pd
import pytest
from tiny_run import make_data, make_run

import evacli
from evacli.explaining import faithfulness
from evacli.explaining.explain import gradcam
from evacli.explaining.faithfulness import compare, where, without

pytestmark = pytest.mark.tensorflow
RNG = np.random.default_rng(3)


def test_removed_pixels_are_the_weighted_mean_of_their_neighbours(monkeypatch):
    monkeypatch.setattr(faithfulness, "NOISE", 0)
    image, removed = RNG.integers(0, 256, (7, 6, 3), np.uint8), RNG.random((7, 6)) < 0.6
    places = [tuple(place) for place in np.argwhere(removed)]
    system, known = np.zeros((len(places), len(places))), np.zeros((len(places), 3))
    for row, (i, j) in enumerate(places):
        for di, dj in ((a, b) for a in (-1, 0, 1) for b in (-1, 0, 1) if a or b):
            beside, weight = (i + di, j + dj), 1 / 12 if di and dj else 1 / 6
            if 0 <= beside[0] < 7 and 0 <= beside[1] < 6:
                system[row, row] += weight
                if removed[beside]:
                    system[row, places.index(beside)] -= weight
                else:
                    known[row] += weight * image[beside]
    filled = without(image, removed)
    np.testing.assert_allclose(filled[removed], np.linalg.solve(system, known), atol=1e-3)
    assert (filled[~removed] == image[~removed]).all()


def test_a_share_is_removed_from_the_top_or_the_bottom():
    heat = np.arange(16, dtype=np.float32).reshape(4, 4)
    assert np.flatnonzero(where(heat, (4, 4), 0.25, most=True)).tolist() == [12, 13, 14, 15]
    assert np.flatnonzero(where(heat, (4, 4), 0.25, most=False)).tolist() == [0, 1, 2, 3]


@pytest.fixture(scope="module")
def corner() -> keras.Model:
    """Sees class 0 where the upper left quarter has fine stripes, and nothing anywhere else."""
    pixels = keras.Input((16, 16, 3))
    quarter = keras.layers.Cropping2D(((0, 8), (0, 8)))(pixels)
    edge = keras.layers.Conv2D(1, (1, 2), use_bias=False, name="edge")
    height = keras.layers.GlobalAveragePooling2D()(keras.ops.abs(edge(quarter)))
    scores = keras.layers.Dense(2, use_bias=False, name="scores")
    model = keras.Model(pixels, keras.layers.Softmax()(scores(height)))
    edge.set_weights([np.array([1.0, -1.0]).reshape(1, 2, 1, 1).repeat(3, 2)])
    scores.set_weights([np.array([[0.02, -0.02]])])
    return model


def test_maps_that_are_right_have_a_gap_and_maps_that_are_wrong_the_opposite(corner):
    images = np.zeros((4, 16, 16, 3), np.uint8)
    images[:, :, ::2] = 200
    right = np.zeros((4, 16, 16), np.float32)
    right[:, :8, :8] = 1
    told = compare(corner, images, np.zeros(4, int), right, "right")
    wrong = compare(corner, images, np.zeros(4, int), 1 - right, "wrong")[0]
    assert [one.maps for one in told] == ["right", "random", "centre"]
    assert told[0].gap > 0.2 > abs(told[1].gap)
    assert wrong.gap == pytest.approx(-told[0].gap, abs=0.05)


def test_the_figures_stand_in_the_run_until_other_maps_are_drawn(tmp_path, monkeypatch):
    data = make_data()
    run = make_run(tmp_path / "run", data)
    monkeypatch.setattr(evacli.data, "load", lambda *_: data)
    told = gradcam(run.path, n=3, faithfulness=True).faithfulness
    table = pd.read_csv(run.faithfulness)
    assert table.maps.tolist() == [one.maps for one in told] == ["Grad-CAM", "random", "centre"]
    assert table.gap.tolist() == pytest.approx([one.least - one.most for one in told])
    gradcam(run.path, n=1)
    assert not run.faithfulness.exists()
