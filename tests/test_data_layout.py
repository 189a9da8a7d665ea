"""What files are told to be from their names."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evacli.data.files import File, Files
from evacli.data.layout import understand
from evacli.data.subset import held_out
from evacli.errors import DataError


def files(*names, empty=()):
    folders = {name.rsplit("/", depth)[0] for name in names for depth in range(1, name.count("/") + 1)}
    found = tuple(File(name, lambda: pytest.fail("opened")) for name in sorted(names))
    return Files("photos", found, frozenset(folders | set(empty)), {})


def understood(*names, order="natural", **more):
    return understand(files(*names, **more), order)


def told(layout):
    """The class of each file, by split."""
    return {
        role: {file.name: layout.class_names[label] for file, label in zip(one.files, one.labels, strict=True)}
        for role, one in layout.splits.items()
    }


PLAIN = ("train/cat/1.jpg", "train/dog/1.jpg", "test/cat/1.jpg", "test/dog/1.jpg")
EXPECTED = {
    "train": {"train/cat/1.jpg": "cat", "train/dog/1.jpg": "dog"},
    "test": {"test/cat/1.jpg": "cat", "test/dog/1.jpg": "dog"},
}


def test_the_documented_layout_needs_no_words():
    layout = understood(*PLAIN)
    assert told(layout) == EXPECTED
    assert layout.said == ""


@pytest.mark.parametrize("around", ["data/", "data/set/"])
def test_it_may_lie_one_or_two_folders_down(around):
    layout = understood(*(around + name for name in PLAIN), f"{around}README.md", "notes.txt", "docs/a.pdf")
    assert list(told(layout)["test"].values()) == ["cat", "dog"]
    assert f"training images in {around}train" in layout.said


@pytest.mark.parametrize(("train", "test"), [("Train", "Test"), ("TRAINING", "Testing"), ("training", "VALID")])
def test_splits_are_told_in_any_capitals(train, test):
    names = [name.replace("train/", f"{train}/").replace("test/", f"{test}/") for name in PLAIN]
    assert [len(told(understood(*names))[role]) for role in ("train", "test")] == [2, 2]


def test_folders_of_classes_alone_are_training_images():
    layout = understood("cat/1.jpg", "cat/trip/2.jpg", "dog/1.jpg", "labels.txt", "cat/README", "cat/list.csv")
    assert told(layout) == {"train": {"cat/1.jpg": "cat", "cat/trip/2.jpg": "cat", "dog/1.jpg": "dog"}}
    assert layout.said == "photos is understood as folders of 2 classes"


def test_a_class_may_be_called_train():
    assert understood("train/1.jpg", "plane/1.jpg").class_names == ("plane", "train")


def test_a_folder_train_alone_has_no_tests():
    assert list(told(understood(*PLAIN[:2]))) == ["train"]


def test_test_pictures_without_classes_are_named():
    layout = understood(*PLAIN[:2], "test/1.jpg", "test/2.jpg")
    assert list(layout.splits) == ["train"]
    assert "the pictures in test have no classes (see evacli predict)" in layout.said


def test_classes_sort_as_people_count_or_as_before():
    names = [f"{number}/1.jpg" for number in ("10", "2", "1", "b10", "b9")]
    assert understood(*names).class_names == ("1", "2", "10", "b9", "b10")
    assert understood(*names, order="characters").class_names == ("1", "10", "2", "b10", "b9")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["images/1.jpg", "labels/1.txt"], "looks like detection"),
        (["train/images/1.jpg", "train/labels/1.txt", "val/images/1.jpg"], "looks like detection"),
        (["JPEGImages/1.jpg", "Annotations/1.xml"], "looks like detection"),
        (["1.jpg", "2.jpg"], "no folders of classes"),
        (["a/train/cat/1.jpg", "b/train/cat/1.jpg"], "several data sets: a, b"),
        ([*PLAIN, "val/cat/1.jpg", "valid/cat/1.jpg"], "has val, valid"),
        ([*PLAIN, "Train/cat/2.jpg"], "has Train, train"),
        (["test/cat/1.jpg", "test/dog/1.jpg"], "but no folder train"),
        ([*PLAIN, "train/owl/1.jpg"], "photos/test has no images of 1 of 3 classes: owl"),
        (["cat/1.jpg", "Cat/1.jpg"], "differ in case alone"),
    ],
)
def test_what_cannot_be_used_is_told_as_what_it_looks_like(names, expected):
    with pytest.raises(DataError) as caught:
        understood(*names)
    assert expected in caught.value.message


def test_an_empty_class_is_named():
    with pytest.raises(DataError, match="no images of 1 of 3 classes: owl"):
        understood("cat/1.jpg", "dog/1.jpg", empty=["owl"])


LABELS = st.lists(st.integers(0, 6), min_size=1, max_size=200).map(lambda found: np.array(found, np.int64))


@given(LABELS, st.floats(0.01, 0.99))
def test_of_each_class_a_share_is_held_out_and_one_stays(labels, share):
    kept = held_out(labels, share)
    for label, count in enumerate(np.bincount(labels)):
        tests = kept[labels == label].sum()
        if count > 1:
            assert 1 <= tests <= count - 1
            assert abs(tests - share * count) <= 1
        else:
            assert tests == 0
