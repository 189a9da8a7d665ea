"""Augmentations for photographs: operations against Pillow's, crops and mixing against their definitions."""

import numpy as np
import pytest
from engine_room import stream, twin
from PIL import Image, ImageEnhance, ImageOps
from tiny_data import TINY
from tiny_run import make_data

from evacli import config
from evacli.backend import tf
from evacli.engine import distort
from evacli.engine.augment import Augmentation
from evacli.training.learner import assemble

RNG = np.random.default_rng(0)
PICTURES = RNG.integers(20, 200, (6, 24, 20, 3), np.uint8)
PICTURES[1] = PICTURES[1] // 3 + 40  # of little contrast
PICTURES[2] = 90  # of none
FILL = (125, 120, 110)


def off(found, expected):
    return np.abs(np.asarray(found).astype(int) - np.asarray(expected).astype(int)).max()


@pytest.mark.parametrize("factor", [0.3, 1.0, 1.7])
@pytest.mark.parametrize(
    ("ours", "pillows"),
    [
        (distort.brightness, ImageEnhance.Brightness),
        (distort.contrast, ImageEnhance.Contrast),
        (distort.saturation, ImageEnhance.Color),
        (distort.sharpness, ImageEnhance.Sharpness),
    ],
)
def test_enhancements_are_pillows(ours, pillows, factor):
    found = ours(PICTURES, tf.fill([6], factor))
    for picture, one in zip(PICTURES, found, strict=True):
        # Pillow rounds grey levels, and what it blends with, in its own ways.
        assert off(one, pillows(Image.fromarray(picture)).enhance(factor)) <= 1 + abs(1 - factor)


@pytest.mark.parametrize(
    ("ours", "pillows"),
    [
        (lambda x: distort.posterize(x, 3), lambda p: ImageOps.posterize(p, 3)),
        (lambda x: distort.solarize(x, 128), lambda p: ImageOps.solarize(p, 128)),
        (distort.autocontrast, ImageOps.autocontrast),
        (distort.equalize, ImageOps.equalize),
    ],
)
def test_tables_are_pillows(ours, pillows):
    for picture, one in zip(PICTURES, ours(PICTURES), strict=True):
        assert off(one, pillows(Image.fromarray(picture))) <= (1 if ours is distort.autocontrast else 0)


@pytest.mark.parametrize("operation", range(6))
@pytest.mark.parametrize("amount", [-0.6, 0.9])
def test_moves_are_pillows(operation, amount):
    entries = distort._transforms(tf.fill([6], operation), tf.fill([6], amount), (24, 20))
    found = distort._moved(PICTURES, entries, FILL).numpy()
    a, b, c, d, e, f = entries[0].numpy()
    # Pillow counts from corners of pixels, TensorFlow from their centres.
    corners = (a, b, c + 0.5 - 0.5 * (a + b), d, e, f + 0.5 - 0.5 * (d + e))
    for picture, one in zip(PICTURES, found, strict=True):
        expected = Image.fromarray(picture).transform((20, 24), Image.Transform.AFFINE, corners, fillcolor=FILL)
        # Where a place lies between two pixels, either may be the nearest.
        assert (np.asarray(expected) == one).all(axis=-1).mean() > 0.97


def test_a_rotation_turns_about_the_centre():
    picture = np.zeros((1, 21, 21, 3), np.uint8)
    picture[0, 10, 10], picture[0, 10, 18] = 255, 200
    turned = distort._moved(picture, distort._transforms(tf.constant([5]), tf.constant([1.0]), (21, 21)), (0, 0, 0))
    assert turned[0, 10, 10, 0] == 255
    row, column = np.argwhere(turned[0, ..., 0].numpy() == 200)[0]
    assert (abs(row - 10), column) == (4, 17)  # 8 sin 30 and 10 + 8 cos 30


def test_rand_augment_is_a_function_of_its_seed_and_its_magnitude():
    first, again, other = (distort.rand_augment(PICTURES, tf.constant([seed, 5]), 9, FILL) for seed in (0, 0, 1))
    assert off(first, again) == 0
    assert off(first, other) > 0
    assert first.dtype == tf.uint8


def test_random_resized_crops_show_what_they_say():
    """A picture whose grey levels are its coordinates tells which part is shown."""
    height, width, count = 60, 80, 400
    y, x = np.mgrid[:height, :width]
    ramp = np.stack([y, x, np.zeros_like(x)], -1).astype(np.uint8)
    mirrored = np.arange(count) % 2 == 0
    found = distort.random_resized_crop(
        np.repeat(ramp[None], count, 0), tf.constant([1, 2]), (0.25, 1.0), mirrored
    ).numpy()
    top, left = found[..., 0].min((1, 2)).astype(float), found[..., 1].min((1, 2)).astype(float)
    rows = (found[..., 0].max((1, 2)) - top + 1) / height
    columns = (found[..., 1].max((1, 2)) - left + 1) / width
    areas, ratios = rows * columns, rows / columns
    assert 0.2 < areas.min() < 0.35
    assert areas.max() > 0.85
    assert ratios.min() > 0.7
    assert ratios.max() < 1.45
    assert np.abs(np.diff(np.histogram(areas, 3, (0.25, 1))[0])).max() < 0.35 * count  # of every size about as many
    assert ((found[:, 0, -1, 1] > found[:, 0, 0, 1]) == ~mirrored).all()


def test_the_whole_is_shown_unchanged():
    found = distort.random_resized_crop(PICTURES, tf.constant([0, 0]), (1.0, 1.0), np.zeros(6, bool)).numpy()
    whole = [off(one, picture) == 0 for one, picture in zip(found, PICTURES, strict=True)]
    assert found.shape == PICTURES.shape
    assert sum(whole) <= 6  # proportions vary, so that few are whole


def test_jitter_keeps_to_its_strength():
    grey = np.full((500, 8, 8, 3), 100, np.uint8)
    found = distort.colour_jitter(grey, tf.constant([0, 0]), 0.4)[:, 0, 0, 0].numpy()
    assert found.min() in range(60, 66)
    assert found.max() in range(135, 141)


def test_mixup_lays_each_picture_over_the_one_before():
    mixed, part = distort.mixup(PICTURES, tf.constant([3, 4]), 1.0)
    expected = float(part) * PICTURES + (1 - float(part)) * np.roll(PICTURES, 1, axis=0)
    assert off(mixed, np.rint(expected)) <= 1
    parts = [float(distort.mixup(PICTURES, tf.constant([3, i]), 0.2)[1]) for i in range(300)]
    assert np.mean(parts) == pytest.approx(0.5, abs=0.06)
    assert np.var(parts) == pytest.approx(1 / (4 * (2 * 0.2 + 1)), abs=0.03)  # of Beta(0.2, 0.2)


SETTINGS = {"model": TINY, "batch_size": 4, "precision": "float32", "cutout": 2, "crop": 1}


@pytest.mark.parametrize(
    "strong", [{"scale": 0.4}, {"jitter": 0.4}, {"rand_augment": 9.0}, {"scale": 0.4, "jitter": 0.4, "mixup": 0.2}]
)
def test_batches_are_functions_of_seed_epoch_and_place(strong):
    learner = assemble(config.make(SETTINGS | strong), make_data())
    whole, rest = (
        [part.numpy() for part in batch] for batch in (list(stream(learner))[1], *list(stream(learner, first=1))[:1])
    )
    assert all(map(np.array_equal, whole, rest))
    other = [part.numpy() for part in next(iter(stream(learner, epoch=1)))]
    assert not np.array_equal(other[0], whole[0])


def test_holes_are_cut_last():
    augmentation = Augmentation(4, 0, False, FILL, jitter=0.9)
    found = augmentation(PICTURES, tf.constant([0, 0])).numpy()
    for one in found[:2]:
        assert (one == FILL).all(-1).sum() >= 4  # of the fill's very colour


def test_a_step_on_mixed_images_has_the_loss_of_both_labels():
    learner = assemble(config.make(SETTINGS | {"mixup": 0.5}), make_data())
    images, labels, _, others, part = next(iter(stream(learner)))
    network = twin(learner)
    scores = network(images, training=True)

    def loss(of):
        return float(tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(of, scores)))

    network._mixed = others, part
    penalties = float(sum(network.losses)) if network.losses else 0.0
    found = float(network.compute_loss(images, labels, scores))
    expected = float(part) * loss(labels) + (1 - float(part)) * loss(others) + penalties
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.long
def test_a_training_with_crops_and_mixed_images_resumes_to_the_bit(tmp_path):
    from evacli import train
    from evacli.errors import Stopped

    strong = {"scale": 0.5, "mixup": 0.2, "lr": 0.01}
    settings = SETTINGS | strong | {"dataset": "digits", "limit_train": 20, "limit_test": 10, "epochs": 2}
    train(tmp_path / "whole", **settings)
    with pytest.raises(Stopped):
        train(tmp_path / "parts", **settings, stop_when=lambda reached: reached.step == 3)
    train(tmp_path / "parts")
    arrays = []
    for run in ("whole", "parts"):
        with np.load(tmp_path / run / "checkpoint.npz") as stored:
            arrays.append({name: stored[name].tobytes() for name in stored.files if name.startswith("network")})
    assert arrays[0] == arrays[1]
