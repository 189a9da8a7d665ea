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


def divided_by_version_0_1_0(train, share, seed):
    """The indices of the validation images, as version 0.1.0 chose them."""
    labels, count = train.labels, round(len(train) * share)
    if not 0 < count < len(train):
        raise DataError("")
    order = np.random.default_rng(seed).permutation(len(labels))
    place = np.empty(len(labels))
    for label in np.unique(labels):
        members = order[labels[order] == label]
        place[members] = np.arange(len(members)) / len(members)
    return np.sort(order[np.argsort(place[order], kind="stable")][:count])


def halves(train, share, seed):
    return [[int(name.removeprefix("image ")) for name in half.names] for half in divided(train, share, seed)]


@given(st.lists(st.integers(0, 7), min_size=2, max_size=60), st.floats(0.01, 0.99), st.integers(0, 2**31 - 1))
def test_a_split_that_version_0_1_0_could_train_on_is_the_same_to_the_image(labels, share, seed):
    train, sizes = split(labels), np.bincount(labels)
    try:
        chosen = divided_by_version_0_1_0(train, share, seed)
    except DataError:
        with pytest.raises(DataError, match="leaves none for one side"):
            divided(train, share, seed)
        return
    if (sizes[train.labels[chosen]] > 1).all():  # else it refused: a class had nothing left to train on
        rest = np.setdiff1d(np.arange(len(train)), chosen)
        assert halves(train, share, seed) == [rest.tolist(), chosen.tolist()]


@given(st.lists(st.integers(0, 7), min_size=2, max_size=60), st.floats(0.01, 0.99), st.integers(0, 9))
def test_a_class_of_one_image_keeps_it_for_training(labels, share, seed):
    train, sizes = split(labels), np.bincount(labels)
    try:
        learnt, held_back = halves(train, share, seed)
    except DataError:
        assert round(len(labels) * share) in (0, len(labels)) or (sizes <= 1).all()
        return
    assert sorted(learnt + held_back) == list(range(len(labels)))
    assert (sizes[train.labels[held_back]] > 1).all()
    assert len(held_back) == min(round(len(labels) * share), (sizes[train.labels] > 1).sum())


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
def test_a_class_of_one_image_does_not_stop_a_training(share):
    for seed in range(20):
        learnt, held_back = divided(split([0] * 20 + [1] * 20 + [2]), share, seed)
        assert 2 in learnt.labels
        assert set(held_back.labels.tolist()) == {0, 1}


def test_a_limit_still_takes_the_only_image_of_a_class():
    for seed in range(20):
        assert set(limited(split([0] * 20 + [1] * 20 + [2]), 3, seed).labels.tolist()) == {0, 1, 2}


def test_what_is_held_back_for_validation_costs_no_copy_of_the_rest():
    whole = split(np.arange(50) % 5)
    rest, chosen = divided(whole, 0.1, seed=0)
    assert rest.images.images is whole.images
    kept = np.array([int(name.split()[1]) for name in rest.names])
    expected = whole.images.array[kept]
    np.testing.assert_array_equal(rest.images.read([3, 0, 44]), expected[[3, 0, 44]])
    np.testing.assert_array_equal(np.concatenate(list(rest.images.blocks(7))), expected)
    np.testing.assert_array_equal(rest.take(np.array([5, 2])).images.read([1]), expected[[2]])
    assert (rest.images.shape, len(rest.images), len(chosen.images)) == ((8, 8, 3), 45, 5)
