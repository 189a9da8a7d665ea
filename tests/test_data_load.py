import gzip
import socket
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from evacli import console, data
from evacli.config import make
from evacli.errors import ConfigError, DataError

RNG = np.random.default_rng(0)


@pytest.fixture
def archive(tmp_path):
    """An npz of 40 training and 20 test images of two classes, sorted by class."""
    path = tmp_path / "data.npz"
    arrays = {
        "x_train": RNG.integers(0, 256, (40, 8, 8), np.uint8),
        "x_test": RNG.integers(0, 256, (20, 8, 8), np.uint8),
    }
    np.savez(path, **arrays, y_train=np.repeat([0, 1], 20), y_test=np.repeat([0, 1], 10))
    return str(path)


def load(**settings):
    return data.load(make(settings))


def test_digits_are_real_images_in_color_format():
    digits = load(dataset="digits")
    assert len(digits.train) + len(digits.test) == 1797
    assert digits.image_shape == (32, 32, 3)
    assert digits.train.images.array.dtype == np.uint8
    assert digits.class_names == tuple("0123456789")
    assert not digits.flippable
    original = load_digits()
    for split in (digits.train, digits.test):
        chosen = [int(name) for name in split.names]
        np.testing.assert_array_equal(split.labels, original.target[chosen])
        # Block means of the enlarged images follow the 8x8 originals.
        means = split.images.array[..., 0].reshape(-1, 8, 4, 8, 4).mean((2, 4)) / 255 * 16
        assert np.abs(means - original.images[chosen]).mean() < 1
        counts = np.bincount(split.labels)
        assert counts.min() > 0.9 * counts.max()


def test_digits_are_split_the_same_way_whatever_the_seed():
    assert load(dataset="digits", seed=1).fingerprint == load(dataset="digits", seed=2).fingerprint


def test_limits_see_all_classes(archive):
    loaded = load(data=archive, limit_train=6, limit_test=4)
    assert np.bincount(loaded.train.labels).tolist() == [3, 3]
    assert np.bincount(loaded.test.labels).tolist() == [2, 2]


def test_validation_is_cut_off_what_the_limit_left(archive):
    loaded = load(data=archive, limit_train=20, val_split=0.2)
    assert (len(loaded.train), len(loaded.validation), len(loaded.test)) == (16, 4, 20)
    assert not set(loaded.train.names) & set(loaded.validation.names)


def test_no_validation_without_a_share(archive):
    assert load(data=archive).validation is None


def test_a_limit_below_the_number_of_classes_is_refused(archive):
    with pytest.raises(DataError, match="1 training image leaves 1 of 2 classes without any"):
        load(data=archive, limit_train=1)


def test_the_fingerprint_tells_data_apart(archive, tmp_path):
    whole = load(data=archive).fingerprint
    assert load(data=archive).fingerprint == whole
    others = [load(data=archive, limit_train=39), load(data=archive, val_split=0.1), load(data=archive, limit_test=19)]
    arrays = dict(np.load(archive))
    for name, change in (("y_test", 1), ("x_test", 1), ("x_train", 1)):
        changed = arrays | {name: arrays[name].copy()}
        changed[name].flat[0] ^= change
        np.savez(tmp_path / "other.npz", **changed)
        others.append(load(data=str(tmp_path / "other.npz")))
    np.savez(tmp_path / "named.npz", **arrays, class_names=np.array(["a", "b"]))
    others.append(load(data=str(tmp_path / "named.npz")))
    assert len({whole, *(other.fingerprint for other in others)}) == len(others) + 1


@pytest.mark.parametrize("content", [b"", b"hello", b"PK", b"\x1f\x8b", gzip.compress(b"hello", mtime=0), bytes(600)])
def test_a_file_of_another_kind_is_told_what_was_expected(tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(DataError, match="file") as caught:
        load(data=str(tmp_path / "file"))
    assert "x_train" in caught.value.message + caught.value.fix


@pytest.mark.parametrize("path", ["nowhere/at/all", "/dev/null", "x" * 300])
def test_a_path_without_a_data_set_is_one_line(path):
    with pytest.raises(DataError) as caught:
        load(data=path)
    assert "Expected: " in caught.value.fix
    assert "\n" not in caught.value.message


def test_the_validation_split_of_the_data_contradicts_another(tmp_path, monkeypatch):
    digits = load(dataset="digits", limit_test=20).test
    source = data.Source(digits, digits, tuple("0123456789"), validation=digits)
    monkeypatch.setattr(data, "_source", lambda config, kept: source)
    assert load().validation is digits
    with pytest.raises(ConfigError, match="its own validation images"):
        load(val_split=0.1)


class FakeServer:
    """Stands in for the network: what urlretrieve would fetch."""

    def __init__(self, content):
        self.content = content

    def __call__(self, url, target, reporthook):
        for block in range(3):
            reporthook(block, 10**6, 2 * 10**6)
        Path(target).write_bytes(self.content[url.rpartition("/")[2]])


def idx(array, header):
    return gzip.compress(bytes(header) + array.tobytes())


@pytest.fixture
def fashion(monkeypatch, tmp_path):
    images, labels = RNG.integers(0, 256, (30, 28, 28), np.uint8), np.arange(30, dtype=np.uint8) % 10
    files = {f"{part}-images-idx3-ubyte.gz": idx(images, 16) for part in ("train", "t10k")}
    files |= {f"{part}-labels-idx1-ubyte.gz": idx(labels, 8) for part in ("train", "t10k")}
    monkeypatch.setattr("keras.src.utils.file_utils.urlretrieve", FakeServer(files))
    monkeypatch.setattr("keras.src.utils.file_utils.config.keras_home", lambda: str(tmp_path))
    return images, labels


def test_keras_data_sets_arrive_with_names_and_in_rgb(fashion, capsys):
    images, labels = fashion
    update = keras.utils.Progbar.update
    loaded = load(dataset="fashion_mnist")
    assert loaded.image_shape == (28, 28, 3)
    np.testing.assert_array_equal(loaded.train.images.array[..., 1], images)
    np.testing.assert_array_equal(loaded.test.labels, labels)
    assert loaded.class_names[9] == "Ankle boot"
    assert loaded.flippable
    # Keras is silent, and afterwards as it was.
    assert capsys.readouterr() == ("", "")
    assert keras.utils.Progbar.update is update
    assert keras.config.is_interactive_logging_enabled()
    assert socket.getdefaulttimeout() is None


def test_a_download_shows_its_megabytes(fashion, monkeypatch):
    seen = []
    progress = console.progress_bars

    def watched():
        bars = progress()
        update = bars.update
        bars.update = lambda task, **values: (seen.append(values), update(task, **values))
        return bars

    monkeypatch.setattr(console, "progress_bars", watched)
    load(dataset="fashion_mnist")
    assert {"completed": 1.0, "total": 2.0} in seen
    assert {"completed": 2.0, "total": 2.0} in seen


@pytest.mark.parametrize("dataset", ["cifar10", "cifar100", "fashion_mnist", "mnist"])
def test_a_failed_download_names_the_two_ways_on(monkeypatch, tmp_path, dataset):
    def unreachable(*_):
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr("keras.src.utils.file_utils.urlretrieve", unreachable)
    monkeypatch.setattr("keras.src.utils.file_utils.config.keras_home", lambda: str(tmp_path))
    with pytest.raises(DataError) as caught:
        load(dataset=dataset)
    assert caught.value.message == f"Cannot download {dataset}: Network is unreachable."
    assert "--data PATH" in caught.value.fix
    assert "--dataset digits" in caught.value.fix


def test_a_damaged_download_is_told_apart(fashion, tmp_path):
    load(dataset="fashion_mnist")
    damaged = tmp_path / "datasets/fashion-mnist/t10k-images-idx3-ubyte.gz"
    damaged.write_bytes(damaged.read_bytes()[:-2000])
    with pytest.raises(DataError, match="damaged"):
        load(dataset="fashion_mnist")


def test_a_tilde_is_a_home_only_if_somebody_has_it(tmp_path, archive, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path(archive).rename(tmp_path / "~nobody_of_that_name.npz")
    assert len(load(data="~nobody_of_that_name.npz").train) == 40
    with pytest.raises(DataError, match="--data ~nobody_else does not exist"):
        load(data="~nobody_else")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(load(data="~/~nobody_of_that_name.npz").train) == 40


def test_a_neighbour_that_may_not_be_entered_is_passed_over(tmp_path, monkeypatch):
    for split in "train", "test":
        for name in "a", "b":
            (tmp_path / split / name).mkdir(parents=True)
            Image.fromarray(RNG.integers(0, 256, (8, 8, 3), np.uint8)).save(tmp_path / split / name / "0.png")
    (tmp_path / "lost+found").mkdir()
    listing = Path.iterdir

    def refused(path):
        if path.name == "lost+found":
            raise PermissionError(13, "Permission denied")
        return listing(path)

    monkeypatch.setattr(Path, "iterdir", refused)
    assert load(data=str(tmp_path)).class_names == ("a", "b")
