"""The picture of optimizers in examples/: its paths against loops by hand, whose gradients are differences."""

import re
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent.parent / "examples"))

import optimizer_paths
from optimizer_paths import LANDSCAPES, walk

DOCS = Path(__file__).parent.parent / "docs"
pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]


def gradient(loss, point, width=1e-5):
    ways = width * np.eye(2)
    return np.array([(loss(*(point + way)) - loss(*(point - way))) / (2 * width) for way in ways])


def sgd(loss, point, rate):
    while True:
        yield point
        point = point - rate * gradient(loss, point)


def rmsprop(loss, point, rate):
    squares = np.zeros(2)
    while True:
        yield point
        slope = gradient(loss, point)
        squares = 0.9 * squares + 0.1 * slope**2
        point = point - rate * slope / np.sqrt(squares + 1e-7)


@pytest.mark.parametrize("rule", [sgd, rmsprop])
@pytest.mark.parametrize("name", LANDSCAPES)
def test_a_path_is_that_of_its_optimizer(name, rule):
    landscape = LANDSCAPES[name]
    # Twice, as the second path must not remember the first.
    for rate, path in zip((0.03, 0.01), walk(rule.__name__, landscape, [0.03, 0.01], steps=20), strict=True):
        points = list(islice(rule(landscape.loss, np.array(landscape.start), rate), 21))
        assert np.abs(path.points - points).max() < 1e-4
        losses = [landscape.loss(*point) / landscape.loss(*landscape.start) for point in points]
        assert path.losses == pytest.approx(losses, abs=1e-3)


@pytest.mark.parametrize("name", LANDSCAPES)
def test_the_lowest_points_are_level_and_at_zero(name):
    for point in LANDSCAPES[name].lowest:
        assert LANDSCAPES[name].loss(*point) == pytest.approx(0, abs=1e-12)
        assert gradient(LANDSCAPES[name].loss, np.array(point)) == pytest.approx(0, abs=1e-6)


def test_steps_count_to_where_a_path_stays_near():
    counted = [
        optimizer_paths.Path2D(np.zeros((5, 2)), np.array(losses)).steps
        for losses in ([1, 0.001, 0.5, 0.002, 0.003], [1, 0.5, 0.3, 0.2, 0.1], [1, 0.001, 0, 0, 0])
    ]
    assert counted == [3, None, 1]


def test_the_script_draws_each_landscape_and_prints_what_the_page_says(tmp_path, capsys):
    optimizer_paths.main(tmp_path, ["sgd"], [0.01, 0.02, 0.05])
    page = (DOCS / "choosing-an-optimizer.md").read_text(encoding="utf-8")
    assert capsys.readouterr().out in page  # the row of sgd
    for name in LANDSCAPES:
        assert size(tmp_path / f"optimizers-{name}.png") == size(DOCS / "images" / f"optimizers-{name}.png")
        assert re.search(rf"!\[.+\]\(images/optimizers-{name}.png\)", page)


def size(path):
    with Image.open(path) as picture:
        return picture.size
