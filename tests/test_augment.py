import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from evacli.backend import tf
from evacli.engine.augment import Augmentation

FILL = (10, 20, 30)
# scipy.stats.chi2.ppf(0.9999, degrees_of_freedom): one test in 10,000 exceeds it by chance.
CHI2_31, CHI2_8, CHI2_1 = 69.11, 31.83, 15.14


def chi_square(counts: NDArray[np.int64]) -> float:
    """Of the hypothesis that all cells are equally likely."""
    expected = counts.sum() / counts.size
    return float(((counts - expected) ** 2 / expected).sum())


def augmented(images: NDArray[np.uint8], seed: int = 0, **changes: object) -> NDArray[np.uint8]:
    options = {"cutout": 0, "crop": 0, "flip": False, "fill": FILL} | changes
    return Augmentation(**options)(tf.constant(images), tf.constant([7, seed], tf.int64)).numpy()


def white(n: int, height: int = 32, width: int = 32) -> NDArray[np.uint8]:
    return np.full((n, height, width, 3), 255, np.uint8)


def noise(n: int, height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(40, 256, (n, height, width, 3), np.uint8)


def extent(covered: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(N, 2): where the covered stretch of each row begins and ends, from (N, L)."""
    length = covered.shape[1]
    return np.stack([covered.argmax(1), length - covered[:, ::-1].argmax(1)], axis=1)


def test_hole_is_a_square_around_a_uniform_centre_clipped_at_the_edges() -> None:
    images = augmented(white(8_000), cutout=16)
    hole = (images == FILL).all(-1)  # (N, H, W)
    assert (images[~hole] == 255).all()
    rows, columns = hole.any(2), hole.any(1)
    assert (hole == rows[:, :, None] & columns[:, None, :]).all()
    # Every centre clips to another stretch, so the stretch tells the centre.
    stretches = {(max(c - 8, 0), min(c + 8, 32)): c for c in range(32)}
    centres = np.array([[stretches[tuple(e)] for e in extent(axis)] for axis in (rows, columns)])  # (2, N)
    for axis in centres:
        assert chi_square(np.bincount(axis, minlength=32)) < CHI2_31
    assert abs(np.corrcoef(centres)[0, 1]) < 4 / np.sqrt(8_000)


def test_share_of_erased_pixels_is_what_the_definition_gives() -> None:
    erased = (augmented(white(8_000), cutout=16) == FILL).all(-1).mean((1, 2))
    lengths = [min(c + 8, 32) - max(c - 8, 0) for c in range(32)]
    expected = (np.mean(lengths) / 32) ** 2
    assert abs(erased.mean() - expected) < 4 * erased.std() / np.sqrt(len(erased))
    assert erased.max() == 0.25


@pytest.mark.parametrize("side", [1, 2, 5, 9, 40])
def test_hole_of_any_side_in_an_image_of_any_shape(side: int) -> None:
    hole = (augmented(white(3000, 9, 14), cutout=side) == FILL).all(-1)
    for covered, length in ((hole.any(2), 9), (hole.any(1), 14)):
        starts = [c - side // 2 for c in range(length)]
        expected = {(max(s, 0), min(s + side, length)) for s in starts}
        assert set(map(tuple, extent(covered))) == expected


def window(
    image: NDArray[np.uint8], crop: int, down: int, right: int, mirror: bool, reflect: bool = False
) -> NDArray[np.uint8]:
    """Crop and flip spelled out for one image."""
    if reflect:
        padded = np.pad(image, ((crop, crop), (crop, crop), (0, 0)), mode="reflect")
    else:
        padded = np.stack([np.pad(image[..., c], crop, constant_values=FILL[c]) for c in range(3)], axis=-1)
    height, width = image.shape[:2]
    found = padded[down : down + height, right : right + width]
    return found[:, ::-1] if mirror else found


def test_crop_and_flip_take_each_window_of_the_padded_image_equally_often() -> None:
    images, crop = noise(1, 5, 7).repeat(5000, axis=0), 4
    windows = {
        window(images[0], crop, down, right, mirror).tobytes(): (down, right, int(mirror))
        for down in range(9)
        for right in range(9)
        for mirror in (False, True)
    }
    assert len(windows) == 162
    found = np.array([windows[image.tobytes()] for image in augmented(images, crop=crop, flip=True)])
    assert chi_square(np.bincount(found[:, 0], minlength=9)) < CHI2_8
    assert chi_square(np.bincount(found[:, 1], minlength=9)) < CHI2_8
    assert chi_square(np.bincount(found[:, 2], minlength=2)) < CHI2_1
    assert np.abs(np.corrcoef(found.T) - np.eye(3)).max() < 4 / np.sqrt(5000)


def test_each_part_can_be_had_alone() -> None:
    images = noise(200, 6, 6)
    assert (augmented(images) == images).all()
    mirrored = augmented(images, flip=True)
    turned = (mirrored != images).any((1, 2, 3))
    assert (mirrored[turned] == images[turned][:, :, ::-1]).all()
    assert 0.3 < turned.mean() < 0.7
    for image, cropped in zip(images, augmented(images, crop=1), strict=True):
        choices = [window(image, 1, down, right, False) for down in range(3) for right in range(3)]
        assert any((cropped == choice).all() for choice in choices)


def test_it_can_be_told_which_images_to_mirror() -> None:
    images, mirrored = noise(6, 4, 5), np.arange(6) % 3 == 0
    for flip in (True, False):
        made = Augmentation(0, 0, flip, FILL)(tf.constant(images), tf.constant([1, 2], tf.int64), tf.constant(mirrored))
        assert (made.numpy() == np.where(mirrored[:, None, None, None] & flip, images[:, :, ::-1], images)).all()


def test_whole_image_can_be_padding() -> None:
    assert {tuple(augmented(noise(64, 3, 3), crop=3)[i, 1, 1]) for i in range(64)} >= {FILL}


@pytest.mark.parametrize(("height", "width", "crop"), [(5, 7, 4), (3, 4, 3), (1, 6, 2), (2, 2, 2)])
@pytest.mark.parametrize("flip", [False, True])
def test_reflected_borders_show_what_numpy_pads_with(height: int, width: int, crop: int, flip: bool) -> None:
    images = noise(1, height, width).repeat(600, axis=0)
    places = range(2 * crop + 1)
    windows = {
        window(images[0], crop, down, right, mirror, reflect=True).tobytes()
        for down in places
        for right in places
        for mirror in {False, flip}
    }
    cropped = augmented(images, crop=crop, flip=flip, reflect=True)
    assert {image.tobytes() for image in cropped} <= windows
    assert len({image.tobytes() for image in cropped}) > len(windows) / 2


def test_a_hole_stays_a_hole_beside_reflected_borders() -> None:
    made = augmented(white(50), cutout=16, crop=4, reflect=True)
    assert set(map(tuple, made.reshape(-1, 3))) == {FILL, (255, 255, 255)}


@settings(max_examples=20)
@given(
    st.integers(1, 9), st.integers(1, 12), st.integers(0, 16), st.integers(0, 12), st.booleans(), st.integers(0, 2**40)
)
def test_pure_function_of_the_seed_on_uint8(
    height: int, width: int, cutout: int, crop: int, flip: bool, seed: int
) -> None:
    images = noise(5, height, width)
    options = {"cutout": cutout, "crop": crop, "flip": flip}
    once, again = augmented(images, seed, **options), augmented(images, seed, **options)
    assert once.dtype == np.uint8
    assert once.shape == images.shape
    assert (once == again).all()


def test_eager_and_graph_agree() -> None:
    images, seed = noise(8, 8, 8), tf.constant([1, 2], tf.int64)
    augmentation = Augmentation(4, 2, True, FILL)
    eager = augmentation(tf.constant(images), seed)
    assert (tf.function(augmentation)(tf.constant(images), seed).numpy() == eager.numpy()).all()


def test_another_seed_gives_other_images() -> None:
    images = noise(64, 8, 8)
    versions = {augmented(images, seed, cutout=4, crop=2, flip=True).tobytes() for seed in range(20)}
    assert len(versions) == 20
