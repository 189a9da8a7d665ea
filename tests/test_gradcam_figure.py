import gc
import weakref
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from evacli.figures.gradcam import ALONE, CELL, GAP, MARGIN, Explanation, Singles, grid, overlay, panels
from evacli.figures.style import save, save_once, save_pixels

HOSTILE = ["[/]", r"$\frac$", "$", "<script>", "\x1b[31mred", "\udcff", "W" * 300, "猫" * 30, "", "a\nb", "%s {0}"]
TITLE = "Grad-CAM: what the network looked at (layer body/$late$)"
SUBTITLE = "Left to right: the image, the evidence for the predicted class, the evidence for the true class."


def explanation(
    index: int = 0, predicted: str = "cat", true: str = "dog", maps: int = 2, shape=(32, 32)
) -> Explanation:
    random = np.random.default_rng(index)
    return Explanation(
        index=index,
        image=random.integers(0, 256, (*shape, 3), np.uint8),
        predicted=predicted,
        predicted_probability=0.826,
        true=true,
        true_probability=0.09,
        maps=random.random((maps, 4, 4), np.float32),
    )


def drawn(figure: Figure, path: Path) -> np.ndarray:
    """The written picture, read by another reader, as (H, W, 3) RGB."""
    save(figure, path)
    return cv2.imread(str(path))[..., ::-1]


def inferno(heat: float) -> np.ndarray:
    """The colour map as another library has it."""
    steps = cv2.applyColorMap(np.arange(256, dtype=np.uint8), cv2.COLORMAP_INFERNO).reshape(256, 3)[:, ::-1]  # RGB
    return np.array([np.interp(255 * heat, np.arange(256), channel) for channel in steps.T])


@given(pixel=st.tuples(*[st.integers(0, 255)] * 3), heat=st.floats(0, 1), alpha=st.floats(0, 1))
@settings(deadline=None)
def test_the_overlay_follows_its_formula(pixel, heat, alpha):
    image = np.array(pixel, np.uint8).reshape(1, 1, 3)
    blended = overlay(image, np.full((1, 1), heat, np.float32), alpha)[0, 0]
    # The map has 256 steps: up to a hundredth of its range away from the line.
    np.testing.assert_allclose(blended, alpha * np.array(pixel) + (1 - alpha) * inferno(heat), atol=1 + 6 * (1 - alpha))


def test_more_heat_is_lighter_to_every_eye():
    """Lightness and, for eyes without green receptors (Machado et al. 2009), colour; jet becomes darker again by 70."""
    shown = overlay(np.zeros((1, 256, 3), np.uint8), np.linspace(0, 1, 256, dtype=np.float32)[None], alpha=0)
    linear = np.where((x := shown[0] / 255) <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)
    deuteranope = np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]])
    for seen in linear, linear @ deuteranope.T:
        luminance = seen @ (0.2126, 0.7152, 0.0722)
        assert (np.diff(luminance) > -1e-3).all()
        assert luminance[-1] - luminance[0] > 0.9


def test_the_weight_of_the_image():
    image, heat = explanation().image, np.linspace(0, 1, 1024, dtype=np.float32).reshape(32, 32)
    np.testing.assert_array_equal(overlay(image, heat, alpha=1), image)
    np.testing.assert_array_equal(overlay(image, heat, alpha=0), overlay(255 - image, heat, alpha=0))
    mean = (image.astype(float) + overlay(image, heat, alpha=0)) / 2
    assert np.abs(overlay(image, heat) - mean).max() <= 1


@pytest.mark.parametrize("shape", [(32, 32), (24, 48), (60, 20), (300, 200)])
@pytest.mark.parametrize("corner", [(0, 0), (0, -1), (-1, 0), (-1, -1)])
def test_the_heat_lies_on_the_part_of_the_image_that_it_belongs_to(shape, corner):
    image, heat = np.zeros((*shape, 3), np.uint8), np.zeros((4, 4), np.float32)
    height, width = shape
    rows = slice(0, height // 4) if corner[0] == 0 else slice(height - height // 4, None)
    columns = slice(0, width // 4) if corner[1] == 0 else slice(width - width // 4, None)
    image[rows, columns] = 255
    heat[corner] = 1
    strip = panels(image, [heat], width=CELL, alpha=0)
    side = (strip.shape[1] - GAP) // 2
    original, hot = strip[:, :side], strip[:, side + GAP :]
    assert original.shape == hot.shape
    assert abs(original.shape[0] / original.shape[1] - height / width) < 0.02
    bright, heated = original[..., 0] > 127, hot[..., 0] > 127
    assert abs(np.argwhere(bright).mean(axis=0) - np.argwhere(heated).mean(axis=0)).max() < 0.08 * max(original.shape)


def test_between_two_points_of_the_map_the_heat_changes_evenly():
    heat = np.array([[0, 1]], np.float32)
    shown = panels(np.zeros((32, 32, 3), np.uint8), [heat], width=CELL, alpha=0)[:, -194:]
    for place, expected in ((0.1, 0.0), (0.25, 0.0), (0.375, 0.25), (0.5, 0.5), (0.625, 0.75), (0.75, 1.0), (0.9, 1.0)):
        np.testing.assert_allclose(shown[100, int(place * 194)], inferno(expected), atol=10)


def test_the_written_picture_holds_the_panels_pixel_by_pixel_and_red_stays_red(tmp_path):
    one = explanation()
    one.image[..., 0], one.image[..., 1:] = 230, 10
    picture = drawn(grid([one], TITLE, SUBTITLE), tmp_path / "one.png")
    strip = panels(one.image, one.maps, ALONE)
    rows = np.flatnonzero((picture[:, MARGIN + 20] == (230, 10, 10)).all(axis=1))
    np.testing.assert_array_equal(picture[rows[0] : rows[0] + strip.shape[0], MARGIN : MARGIN + strip.shape[1]], strip)


@pytest.mark.slow
@pytest.mark.parametrize("n", [1, 2, 3, 5, 7, 25])
@pytest.mark.parametrize("maps", [1, 2])
def test_any_number_of_images_makes_a_picture(tmp_path, n, maps):
    picture = drawn(grid([explanation(i, maps=maps) for i in range(n)], TITLE, SUBTITLE), tmp_path / "grid.png")
    columns, cell = min(n, 5), ALONE if n == 1 else CELL
    assert picture.shape[1] == columns * (cell + MARGIN) + MARGIN
    assert (picture[:, :MARGIN] == 255).all()
    assert (picture[:, -MARGIN:] == 255).all()


def test_each_caption_says_what_was_predicted_and_what_is_true():
    texts = [
        t.get_text() for t in grid([explanation(17), explanation(4, "ship", "frog")], TITLE, SUBTITLE).axes[0].texts
    ]
    for expected in ("predicted cat 83 %", "true dog 9 %", "#17", "predicted ship 83 %", "true frog 9 %", "#4"):
        assert expected in texts


@pytest.mark.slow
@pytest.mark.parametrize("maps", [1, 2])
@pytest.mark.parametrize("n", [1, 26])
def test_hostile_names_neither_crash_nor_overlap(tmp_path, n, maps):
    names = (
        [(HOSTILE[i % len(HOSTILE)], HOSTILE[(i + 5) % len(HOSTILE)]) for i in range(n)]
        if n > 1
        else [("W" * 300, "猫" * 300)]
    )
    figure = grid([explanation(90_000 + i, *pair, maps=maps) for i, pair in enumerate(names)], TITLE, SUBTITLE)
    drawn(figure, tmp_path / "grid.png")
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    boxes = [box for box in boxes if box.width > 0]
    for i, box in enumerate(boxes):
        assert box.x0 >= MARGIN - 2
        assert box.x1 <= figure.bbox.width - MARGIN + 2
        assert not [other for other in boxes[:i] if overlap(box, other)]


@pytest.mark.slow
def test_one_after_the_other_is_drawn_as_each_alone(tmp_path: Path) -> None:
    singles = Singles(TITLE, SUBTITLE)
    for one in (explanation(3, "W" * 300), explanation(12_345, "ship", "frog"), explanation(0, "", "a$b")):
        save_pixels(singles.pixels(one), tmp_path / "single.png")
        alone = drawn(grid([one], TITLE, SUBTITLE), tmp_path / "alone.png")
        np.testing.assert_array_equal(cv2.imread(tmp_path / "single.png")[..., ::-1], alone)


def overlap(a, b) -> bool:
    # Bounding boxes leave room above and below the letters.
    return min(a.x1, b.x1) > max(a.x0, b.x0) and min(a.y1, b.y1) - max(a.y0, b.y0) > 8


def test_the_pixels_of_a_picture_that_is_saved_once_are_let_go_of(tmp_path: Path) -> None:
    figure = grid([explanation()], TITLE, SUBTITLE)
    held = weakref.ref(figure.canvas)
    gc.disable()
    try:
        save_once(figure, tmp_path / "once.png")
        assert held() is None
    finally:
        gc.enable()
    assert cv2.imread(tmp_path / "once.png").shape[1] > 500
