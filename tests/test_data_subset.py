import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evacli.data.images import InMemory
from evacli.data.subset import choose, divided, limited
from evacli.data.types import Split
from evacli.errors import DataError


def split(labels):
    labels = np.asarray(labels, np.int64)
    images = np.arange(len(labels), dtype=np.uint8)[:, None, None, None] * np.ones((8, 8, 3), np.uint8)
    return Split(InMemory(images), labels, [f"image {i}" for i in range(len(labels))])


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60), st.data())
def test_choice_is_stratified_and_sees_every_class(labels, draw):
    labels = np.array(labels)
    count = draw.draw(st.integers(1, len(labels)))
    chosen = choose(labels, count, seed=draw.draw(st.integers(0, 9)))
    assert len(chosen) == count == len(set(chosen.tolist()))
    assert (np.diff(chosen) > 0).all()
    classes, sizes = np.unique(labels, return_counts=True)
    if count >= len(classes):
        taken = np.array([(labels[chosen] == c).sum() for c in classes])
        assert (taken >= 1).all()
        # No class is further from its share than rounding, and one image for each class, explain.
        assert (np.abs(taken - sizes * count / len(labels)) <= len(classes)).all()


def test_choice_takes_the_same_number_of_classes_of_the_same_size():
    labels = np.repeat(np.arange(10), 50)
    assert np.bincount(labels[choose(labels, 100, seed=3)]).tolist() == [10] * 10


def test_choice_depends_on_the_seed_alone():
    labels = np.repeat(np.arange(4), 25)
    np.testing.assert_array_equal(choose(labels, 20, seed=1), choose(labels, 20, seed=1))
    assert not np.array_equal(choose(labels, 20, seed=1), choose(labels, 20, seed=2))


def test_a_limit_keeps_images_labels_and_names_together():
    whole = split(np.repeat([0, 1, 2], 20))
    part = limited(whole, 9, seed=0)
    assert len(part) == 9
    for image, label, name in zip(part.images.array, part.labels, part.names, strict=True):
        index = int(name.removeprefix("image "))
        assert image[0, 0, 0] == index
        assert whole.labels[index] == label


@pytest.mark.parametrize("count", [None, 60, 1000])
def test_a_limit_beyond_the_split_changes_nothing(count):
    whole = split(np.repeat([0, 1, 2], 20))
    assert limited(whole, count, seed=0) is whole


def test_validation_images_are_cut_off_stratified():
    train, validation = divided(split(np.repeat([0, 1], [40, 20])), 0.1, seed=0)
    assert np.bincount(validation.labels).tolist() == [4, 2]
    assert np.bincount(train.labels).tolist() == [36, 18]
    assert sorted([*train.names, *validation.names]) == sorted(f"image {i}" for i in range(60))


@pytest.mark.parametrize("share", [0.01, 0.99])
def test_a_share_that_leaves_one_side_empty_is_refused(share):
    with pytest.raises(DataError, match=r"--val-split .* of 10 training images"):
        divided(split([0, 1] * 5), share, seed=0)
