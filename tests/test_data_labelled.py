from pathlib import Path

import cifar_files
import numpy as np
import pytest
from PIL import Image

from evacli.data import pictures
from evacli.data.path import read_labelled
from evacli.errors import DataError

PIXELS = np.random.default_rng(2).integers(0, 256, (4, 9, 12, 3), np.uint8)


def save(path: Path, **arrays: object) -> str:
    np.savez(path, **arrays)
    return str(path)


def test_an_archive_of_test_arrays_is_read_at_any_size(tmp_path: Path) -> None:
    found = read_labelled(save(tmp_path / "a.npz", x_test=PIXELS, y_test=np.array([7, 3, 7, 3])))
    assert (found.part, found.class_names) == ("test", ("3", "7"))
    split = found.sized((8, 10), "stretch")
    assert split.labels.tolist() == [1, 0, 1, 0]
    expected = [pictures.resized(image, (8, 10), "stretch") for image in PIXELS]
    np.testing.assert_array_equal(split.images.read([0, 1, 2, 3]), expected)
    np.testing.assert_array_equal(found.sized((12, 9), "crop").images.read([0, 1, 2, 3]), PIXELS)


def test_without_test_arrays_the_training_arrays_are_all_there_is(tmp_path: Path) -> None:
    names = np.array(["cat", "dog", "owl"])
    found = read_labelled(save(tmp_path / "a.npz", x_train=PIXELS, y_train=np.array([2, 0, 2, 0]), class_names=names))
    assert (found.part, found.class_names) == ("train", ("cat", "owl"))


@pytest.mark.parametrize(
    ("labels", "said"),
    [([0, 1, 2, 3], "goes up to 3, but class_names in .* has 3 names"), ([0, 1, 2, -1], "class number -1")],
)
def test_labels_without_a_class_are_refused(tmp_path: Path, labels: list[int], said: str) -> None:
    path = save(tmp_path / "a.npz", x_test=PIXELS, y_test=np.array(labels), class_names=np.array(["a", "b", "c"]))
    with pytest.raises(DataError, match=said):
        read_labelled(path)


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (9, 9)).save(path)


@pytest.mark.parametrize(
    ("files", "part", "class_names"),
    [
        (["cat/1.png", "dog/1.png"], "", ("cat", "dog")),
        (["train/1.png", "plane/1.png"], "", ("plane", "train")),  # of vehicles
        (["test/cat/1.png", "val/dog/1.png", "train/owl/1.png"], "test", ("cat",)),
        (["valid/dog/1.png", "train/owl/1.png"], "valid", ("dog",)),
        (["train/owl/1.png"], "train", ("owl",)),
    ],
)
def test_of_folders_the_test_part_counts(
    tmp_path: Path, files: list[str], part: str, class_names: tuple[str, ...]
) -> None:
    for file in files:
        picture(tmp_path / file)
    (tmp_path / part / "empty").mkdir()
    found = read_labelled(str(tmp_path))
    assert (found.part, found.class_names) == (part, class_names)
    assert found.sized((9, 9), "crop").labels.tolist() == list(range(len(class_names)))


def test_pictures_without_folders_of_classes_are_refused(tmp_path: Path) -> None:
    picture(tmp_path / "1.png")
    with pytest.raises(DataError, match="has no folders of classes") as e:
        read_labelled(str(tmp_path))
    assert "a folder" in e.value.fix


def test_of_batches_the_test_batch_counts(tmp_path: Path) -> None:
    images, labels = cifar_files.random_images(12), np.array([0, 1, 2] * 3 + [2, 1, 0])
    found = read_labelled(str(cifar_files.write(tmp_path / "c", cifar_files.cifar10(images, labels.tolist()))))
    assert (found.part, found.class_names) == ("test", ("cat", "dog"))
    np.testing.assert_array_equal(found.sized((32, 32), "crop").images.read([0, 1]), images[10:])
