"""Test images among the training images: with copies that were put there, and pictures that are alike by nature."""

import io

import cv2
import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits

from evacli.data.images import InMemory
from evacli.data.types import Split
from evacli.doubting import duplicates
from evacli.nearest import Nearest

pytestmark = pytest.mark.slow


def scenes(count: int, seed: int, side: int = 48) -> np.ndarray:
    """Pictures of nothing, with a horizon: large and small blots before a sky that is the same in all of them."""
    random = np.random.default_rng(seed)
    blots = sum(
        scale * np.stack([cv2.GaussianBlur(x, (0, 0), width) for x in random.normal(0, 1, (count, side, side, 3))])
        for width, scale in ((side / 24, 150), (side / 6, 700))
    )
    sky = np.linspace(230, 30, side)[:, None, None]
    return np.clip(sky + blots, 0, 255).astype(np.uint8)


def moved(image: np.ndarray, right: int, down: int) -> np.ndarray:
    shift = np.array([[1, 0, right], [0, 1, down]], float)
    return cv2.warpAffine(image, shift, image.shape[1::-1], borderMode=cv2.BORDER_REFLECT)


def changed(image: np.ndarray, how: str) -> np.ndarray:
    height, width = image.shape[:2]
    return {
        "same": lambda: image.copy(),
        "moved": lambda: moved(image, width // 16, -(height // 32)),
        "paler": lambda: (60 + 0.6 * image).astype(np.uint8),
        "grey": lambda: np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8),
        "compressed": lambda: cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 30])[1], 1),
        "cut": lambda: cv2.resize(image[1:-1, 1:-1], (width, height)),
    }[how]()


HOW = ("same", "moved", "paler", "grey", "compressed", "cut")


@pytest.mark.parametrize("side", [32, 48, 100])
def test_copies_are_found_however_they_were_changed_and_nothing_else(side, monkeypatch):
    monkeypatch.setattr(duplicates, "STRETCH", 64)  # so that there are several
    train, test = scenes(150, 1, side), scenes(80, 2, side)
    for at, how in enumerate(HOW):
        test[10 * at] = changed(train[20 * at + 3], how)
    found = duplicates.find(InMemory(train), InMemory(test))
    assert {(pair.test, pair.train) for pair in found} == {(10 * at, 20 * at + 3) for at in range(len(HOW))}
    assert found[0] == (0, 3, True, 1.0)
    assert [pair.exact for pair in found[1:]] == [False] * 5
    assert sorted((pair.likeness for pair in found), reverse=True) == [pair.likeness for pair in found]


def test_the_likeness_is_the_correlation_at_the_best_shift():
    train, test = scenes(20, 3, 32), scenes(5, 4, 32)
    test[2] = changed(moved(train[7], 1, 2), "compressed")
    ((at, copy, exact, likeness),) = duplicates.find(InMemory(train), InMemory(test))

    def details(image):
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(float)
        return grey - cv2.boxFilter(grey, -1, (9, 9))

    middle, other = details(test[2])[4:-4, 4:-4], details(train[7])
    places = [(y, x) for y in range(9) for x in range(9)]
    shifted = [
        np.corrcoef(middle.ravel(), other[y : y + 24, x : x + 24].ravel())[0, 1] for y in range(9) for x in range(9)
    ]
    assert (at, copy, exact) == (2, 7, False)
    assert likeness == pytest.approx(max(shifted), abs=1e-3)
    assert places[np.argmax(shifted)] == (4 - 2, 4 - 1)  # the test image lies 2 lower and 1 further right


def test_pictures_that_are_alike_by_nature_are_no_copies():
    digits = np.repeat((load_digits().images * 15.9).astype(np.uint8)[..., None], 3, axis=3)
    train, test = digits[:1400], digits[1400:1500]
    # Most are more alike than copies of photographs need be.
    assert len(duplicates.find(InMemory(train), InMemory(test))) <= 10
    test[50] = train[30]
    assert duplicates.find(InMemory(train), InMemory(test))[0] == (50, 30, True, 1.0)


def test_pictures_of_one_colour_are_copies_of_that_colour_alone():
    flat = np.repeat(np.arange(0, 250, 10, dtype=np.uint8), 16 * 16 * 3).reshape(25, 16, 16, 3)
    assert duplicates.find(InMemory(flat[:20]), InMemory(flat[18:])) == [(0, 18, True, 1.0), (1, 19, True, 1.0)]


def test_the_table_names_both_images():
    split = Split(InMemory(scenes(3, 5)), np.array([0, 1, 1]), ["=a.png", "b.png", "c.png"])
    table = pd.read_csv(
        io.StringIO(duplicates.to_csv([duplicates.Duplicate(2, 0, False, 0.87654)], split, split, ("cat", "dog")))
    )
    assert tuple(table.columns) == duplicates.COLUMNS
    assert table.iloc[0].tolist() == [2, "c.png", "dog", 0, "'=a.png", "cat", False, 0.8765]


@pytest.mark.parametrize("size", [1, 7, 100])
def test_of_blocks_of_any_size_the_nearest_are_those_of_all(size):
    random = np.random.default_rng(6)
    queries, vectors = random.normal(size=(9, 5)), random.normal(size=(60, 5))
    nearest = Nearest(queries, 3)
    for start in range(0, 60, size):
        nearest.show(vectors[start : start + size])
    distances = np.linalg.norm(queries[:, None] - vectors, axis=2)
    np.testing.assert_array_equal(nearest.indices, distances.argsort(axis=1)[:, :3])
    np.testing.assert_allclose(nearest.distances, np.sort(distances, axis=1)[:, :3])
    assert nearest.shown == 60


def trousers(count: int) -> np.ndarray:
    """Photographs of trousers, laid out alike; each has a cloth and a ground of its own."""
    random, (y, x) = np.random.default_rng(0), np.mgrid[:96, :96]
    outline = np.zeros((96, 96), np.float32)
    outline[8:32, 24:74] = outline[12:88, 24:44] = outline[12:88, 54:74] = 1
    found = []
    for _ in range(count):
        lie = cv2.getRotationMatrix2D((48, 48), random.uniform(-4, 4), random.uniform(0.94, 1.06))
        angles, widths = random.uniform(0, np.pi, 2), random.uniform(4, 6, 2)
        cloth, ground = (
            25 * np.sign(np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / width))
            for angle, width in zip(angles, widths, strict=True)
        )
        found.append(np.where(cv2.warpAffine(outline, lie, (96, 96)) > 0.5, 90 + cloth, 180 + ground))
    return np.repeat(np.stack(found)[..., None], 3, axis=3).astype(np.uint8)


def test_photographs_of_one_kind_of_thing_are_not_copies(monkeypatch):
    pixels = trousers(60)
    train, test = InMemory(pixels[:40]), InMemory(pixels[40:])
    assert duplicates.find(train, test) == []
    monkeypatch.setattr(duplicates, "MOST_SIDE", 32)
    assert len(duplicates.find(train, test)) > 10
