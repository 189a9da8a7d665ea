import numpy as np
import pytest
from engine_room import stream
from hypothesis import given
from hypothesis import strategies as st
from tiny_data import TINY
from tiny_run import make_data

from evacli import config
from evacli.training.batching import PART, Batching
from evacli.training.learner import assemble


def batching(num_images: int, **settings: object) -> Batching:
    return Batching(config.make(settings), num_images)


def test_plain_batches() -> None:
    plain = batching(50, batch_size=8, epochs=3)
    assert [plain.steps(epoch) for epoch in range(3)] == [7, 7, 7]
    assert plain.steps_before(3) == 21
    assert (plain.accumulated, plain.rate_factor(0)) == (1, None)
    assert [plain.share(step) for step in (0, 10, 20)] == [0, 0.5, 1]


def test_a_batch_holds_no_more_images_than_there_are() -> None:
    assert (batching(5).size(0), batching(5).steps(0)) == (5, 1)


def test_one_image_at_a_time() -> None:
    assert batching(50, batch_size=1, epochs=1).steps(0) == 50


@pytest.mark.parametrize(("num_images", "size", "parts"), [(50, 50, 1), (PART, PART, 1), (PART + 1, PART, 2)])
def test_all_images_make_one_update_an_epoch(num_images: int, size: int, parts: int) -> None:
    full = batching(num_images, batch_size="full", epochs=5)
    assert (full.size(0), full.steps(0), full.accumulated) == (size, parts, parts)
    # All parts of an update share a rate, from the first epoch's to the last one's.
    found = [full.share(step) for step in range(full.steps_before(5))]
    assert found == [epoch / 4 for epoch in range(5) for _ in range(parts)]


def test_grown_batches() -> None:
    grown = batching(1000, schedule="step", batch_size=10, drop_factor=5, grow_batch=100, epochs=8)
    assert [grown.size(epoch) for epoch in range(8)] == [10] * 4 + [50] * 2 + [100] * 2
    assert [grown.rate_factor(epoch) for epoch in range(8)] == pytest.approx([1] * 6 + [0.4] * 2)
    assert [grown.steps_before(epoch) for epoch in (4, 6, 8)] == [400, 440, 460]
    assert grown.fewest_steps == 10


@given(st.integers(1, 2000), st.integers(1, 3000), st.integers(0, 3000), st.integers(1, 12))
def test_a_batch_grows_beyond_neither_its_bound_nor_the_images(images: int, size: int, room: int, epochs: int) -> None:
    grown = batching(images, schedule="step", batch_size=size, grow_batch=size + room, epochs=epochs)
    sizes = [grown.size(epoch) for epoch in range(epochs)]
    assert sizes == sorted(sizes)
    assert sizes[0] == size or epochs == 1
    assert all(size <= found <= max(size, min(size + room, images)) for found in sizes)
    assert grown.steps_before(epochs) == sum(-(-images // found) for found in sizes)


def test_every_image_of_an_epoch_counts_alike_in_an_update_of_all() -> None:
    made = config.make({"model": TINY, "batch_size": "full", "precision": "float32"})
    learner = assemble(made, make_data(num_train=300))
    parts = [(images.shape[0], weights.numpy()) for images, _, weights in stream(learner)]
    assert [size for size, _ in parts] == [PART, PART, 300 - 2 * PART]
    # A part's loss is a mean over its images; the update's is the mean over the parts.
    shares = [weights / size / len(parts) for size, weights in parts]
    assert np.concatenate(shares) == pytest.approx(1 / 300)


def test_no_two_batches_of_a_training_share_a_seed() -> None:
    settings = {"model": TINY, "schedule": "step", "batch_size": 1, "grow_batch": 4, "drop_factor": 2, "epochs": 4}
    learner = assemble(config.make(settings | {"precision": "float32"}), make_data(num_train=4))
    found = [[len(labels) for _, labels in stream(learner, epoch)] for epoch in range(4)]
    assert found == [[1] * 4, [1] * 4, [2] * 2, [4]]
    images = {image.numpy().tobytes() for epoch in range(4) for batch, _ in stream(learner, epoch) for image in batch}
    assert len(images) > 14  # of 16, each augmented anew
