import io
import zipfile

import numpy as np
import pytest

from evacli import data
from evacli.config import make
from evacli.data import containers
from evacli.errors import DataError

RNG = np.random.default_rng(0)
GOOD = {
    "x_train": RNG.integers(0, 256, (6, 9, 8, 3), np.uint8),
    "y_train": np.array([0, 1, 2, 0, 1, 2]),
    "x_test": RNG.integers(0, 256, (2, 9, 8, 3), np.uint8),
    "y_test": np.array([2, 1]),
}


def load(tmp_path, **changes):
    path = tmp_path / "data"
    with path.open("wb") as file:
        np.savez(file, **{key: value for key, value in (GOOD | changes).items() if value is not None})
    return data.load(make({"data": str(path)}))


def refusal(tmp_path, **changes):
    with pytest.raises(DataError) as caught:
        load(tmp_path, **changes)
    assert "\n" not in caught.value.message + caught.value.fix
    return caught.value.message


def test_reads_the_four_arrays(tmp_path):
    loaded = load(tmp_path)
    np.testing.assert_array_equal(loaded.train.images.array, GOOD["x_train"])
    np.testing.assert_array_equal(loaded.test.images.array, GOOD["x_test"])
    assert loaded.test.labels.tolist() == [2, 1]
    assert loaded.class_names == ("0", "1", "2")
    assert loaded.train.names == list("012345")
    assert loaded.image_shape == (9, 8, 3)


def test_takes_the_class_names_of_the_file(tmp_path):
    assert load(tmp_path, class_names=np.array(["cat", "dog", "owl"])).class_names == ("cat", "dog", "owl")


@pytest.mark.parametrize("axis", [(), (1,)])
def test_grey_images_become_rgb(tmp_path, axis):
    grey = {key: GOOD[key][..., 0].reshape(*GOOD[key].shape[:3], *axis) for key in ("x_train", "x_test")}
    loaded = load(tmp_path, **grey)
    for channel in range(3):
        np.testing.assert_array_equal(loaded.train.images.array[..., channel], GOOD["x_train"][..., 0])
    assert loaded.train.images.array.flags.c_contiguous


def test_labels_may_be_a_column(tmp_path):
    assert (
        load(tmp_path, y_train=GOOD["y_train"].reshape(-1, 1).astype(np.uint8)).train.labels.tolist() == [0, 1, 2] * 2
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"x_train": GOOD["x_train"] / np.float32(255)}, "x_train"),
        ({"x_train": GOOD["x_train"].astype(np.int64) * 2}, "expected 0 to 255"),
        ({"x_train": GOOD["x_train"] - np.float32(128)}, "expected 0 to 255"),
        ({"x_train": np.full((6, 9, 8, 3), np.nan)}, "expected 0 to 255"),
        ({"x_test": GOOD["x_test"][..., :2]}, "(2, 9, 8, 2)"),
        ({"x_test": GOOD["x_test"][:, :7]}, "8x7"),
        ({"x_test": GOOD["x_test"][:, :8]}, "8x8 pixels, the training images 8x9"),
        ({"x_train": np.zeros((6, 8, 8, 3, 3), np.uint8)}, "shape"),
        ({"x_train": np.uint8(3)}, "shape ()"),
        ({"y_train": np.ones((6, 3), int)}, "int64 of shape (6, 3)"),
        ({"y_train": np.array([0.5, 1, 2, 0, 1, 2])}, "float64 that are not whole"),
        ({"y_train": np.array(list("abcabc"))}, "of different kinds"),
        ({"y_train": np.array(3)}, "shape ()"),
        ({"y_train": np.array([0, 1, 2])}, "6 images but 3 labels"),
        ({"y_train": np.array([0, 1, 2, 0, 1, -1])}, "-1"),
        ({"y_test": np.array([2, 3])}, "without any: 3"),
        ({"y_test": np.array([2, 10**15])}, "too many classes"),
        ({"y_test": np.array([2, 2**64 - 1], np.uint64)}, "class number 18446744073709551615"),
        ({"y_train": np.array([False, True] * 3)}, "y_train"),
        ({"y_train": np.zeros(6, [("a", "i4"), ("b" * 5000, "i4")])}, "of shape (6,)"),
        ({"x_train": np.zeros((6, 9, 8, 3), [("r", "u1")])}, "expected numbers"),
        ({"x_train": np.zeros((10**12, 0, 8, 3), np.uint8)}, "x_train"),
        ({"x_train": np.zeros((10**6, 1, 1), np.uint8)}, "1x1 pixels"),
        ({"class_names": np.array(list("abcdefg"))}, "too many for 6 training images"),
        ({"class_names": np.array(["a", "b", "c"], "S1")}, "expected text"),
        ({"y_train": np.zeros(6, int), "y_test": np.zeros(2, int)}, "two classes"),
        ({"y_train": np.array([0, 1, 3, 0, 1, 3])}, "without any: 2"),
        ({"x_test": GOOD["x_test"][:0], "y_test": GOOD["y_test"][:0]}, "x_test"),
        ({"class_names": np.array(["cat", "dog"])}, "expected 0 to 1"),
        ({"class_names": np.array(["cat", "dog", "dog"])}, "same name: dog"),
        ({"class_names": np.array([1, 2, 3])}, "expected text"),
        ({"class_names": np.array(["cat", "dog", None], object)}, "allow_pickle"),
        ({"x_train": np.array([None] * 6, object)}, "allow_pickle"),
        ({"x_test": None}, "lacks x_test"),
        ({"x_train": None, "y_train": None}, "lacks images and labels to train on"),
    ],
)
def test_refuses_arrays_that_are_not_as_expected(tmp_path, changes, expected):
    assert expected in refusal(tmp_path, **changes)


@pytest.mark.parametrize("divisor", [1, 255])
@pytest.mark.parametrize("kind", [np.float16, np.float64])
def test_float_images_are_told_by_their_range(tmp_path, capsys, divisor, kind):
    floats = {key: (GOOD[key] / divisor).astype(kind) for key in ("x_train", "x_test")}
    loaded = load(tmp_path, **floats)
    np.testing.assert_array_equal(loaded.train.images.array, GOOD["x_train"])
    assert f"numbers from 0 to {255 // divisor}" in capsys.readouterr().err


def test_channels_may_come_first(tmp_path, capsys):
    loaded = load(tmp_path, **{key: np.moveaxis(GOOD[key], -1, 1) for key in ("x_train", "x_test")})
    np.testing.assert_array_equal(loaded.test.images.array, GOOD["x_test"])
    assert "channels first" in capsys.readouterr().err


def test_labels_may_be_one_hot_or_names(tmp_path):
    rows = {key: np.eye(3)[GOOD[key]] for key in ("y_train", "y_test")}
    assert load(tmp_path, **rows).train.labels.tolist() == [0, 1, 2, 0, 1, 2]
    names = {key: np.array(["2", "cat", "10"])[GOOD[key]] for key in ("y_train", "y_test")}
    loaded = load(tmp_path, **names)
    assert loaded.class_names == ("2", "10", "cat")
    assert [loaded.class_names[label] for label in loaded.test.labels] == names["y_test"].tolist()


@pytest.mark.parametrize(
    ("train", "test"), [("X_train y_train", "X_test y_test"), ("train_images train_labels", "test_images test_labels")]
)
def test_arrays_may_have_the_names_that_people_give_them(tmp_path, train, test):
    path = tmp_path / "data.npz"
    np.savez(path, **dict(zip(f"{train} {test}".split(), GOOD.values(), strict=True)))
    loaded = data.load(make({"data": str(path)}))
    np.testing.assert_array_equal(loaded.train.images.array, GOOD["x_train"])
    assert loaded.test.labels.tolist() == [2, 1]


def test_a_folder_of_npy_files_is_read_like_an_archive(tmp_path):
    for name, array in GOOD.items():
        np.save(tmp_path / f"{name}.npy", array)
    assert data.load(make({"data": str(tmp_path)})).fingerprint == load(tmp_path).fingerprint


def test_of_a_pair_alone_a_part_is_kept_for_tests(tmp_path, capsys):
    path = tmp_path / "data.npz"
    np.savez(path, X=GOOD["x_train"].repeat(5, axis=0), y=GOOD["y_train"].repeat(5))
    loaded = data.load(make({"data": str(path), "seed": 3}))
    assert np.bincount(loaded.test.labels).tolist() == [2, 2, 2]
    assert sorted([*loaded.train.names, *loaded.test.names], key=int) == [str(i) for i in range(30)]
    assert loaded.drawn == {name: "test" if name in loaded.test.names else "train" for name in map(str, range(30))}
    # Whatever the seed of the training is, the same images test.
    assert data.load(make({"data": str(path), "seed": 4})).test.names == loaded.test.names


def test_the_order_of_bytes_and_of_axes_is_no_matter(tmp_path):
    loaded = load(tmp_path, x_train=np.asfortranarray(GOOD["x_train"]), y_train=GOOD["y_train"].astype(">i8"))
    np.testing.assert_array_equal(loaded.train.images.array, GOOD["x_train"])
    assert loaded.train.images.array.flags.c_contiguous
    assert loaded.train.labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert loaded.train.labels.dtype == np.int64


def test_a_slash_behind_the_name_of_a_file_is_no_matter(tmp_path):
    load(tmp_path)
    assert len(data.load(make({"data": f"{tmp_path / 'data'}/"})).train) == 6


def _file(tmp_path, members, compression=zipfile.ZIP_STORED):
    path = tmp_path / "data.npz"
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return make({"data": str(path)})


def test_refuses_zip_bombs_before_they_unpack(tmp_path, monkeypatch):
    monkeypatch.setattr(containers, "HARMLESS", 2**20)
    config = _file(tmp_path, {"x_train.npy": bytes(2**21)}, zipfile.ZIP_DEFLATED)
    with pytest.raises(DataError, match="would unpack"):
        data.load(config)


def test_a_header_that_claims_terabytes_costs_nothing(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (2**45, 8, 8)})
    with pytest.raises(DataError, match=r"data\.npz"):
        data.load(_file(tmp_path, {"x_train.npy": header.getvalue()}))


def test_a_zip_of_something_else_is_told_what_it_lacks(tmp_path):
    with pytest.raises(DataError, match="lacks images and labels to train on"):
        data.load(_file(tmp_path, {"train/cat/1.png": b"x"}))


def npy(array):
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


MEMBERS = {f"{name}.npy": npy(array) for name, array in GOOD.items()}


def member_refusal(tmp_path, members):
    with pytest.raises(DataError) as caught:
        data.load(_file(tmp_path, members))
    assert "\n" not in caught.value.message + caught.value.fix
    return caught.value


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("content", [b"", b"hello", b"\x93NUMPY", b"\x93NUMPY\x01\x00\x05\x00hello"])
def test_a_member_that_is_no_array_is_named_with_what_was_expected(tmp_path, name, content):
    for suffix in ("", ".npy"):
        others = {other: array for other, array in MEMBERS.items() if other != f"{name}.npy"}
        refused = member_refusal(tmp_path, others | {name + suffix: content})
        assert f"{name} in " in refused.message
        assert refused.fix.startswith("Expected: ")


def test_an_array_that_is_there_twice_is_refused(tmp_path):
    assert "holds x_train more than once" in member_refusal(tmp_path, MEMBERS | {"x_train": b""}).message


def test_a_folder_in_the_place_of_an_array_is_missed(tmp_path):
    others = {name: array for name, array in MEMBERS.items() if name != "y_test.npy"}
    assert "lacks y_test" in member_refusal(tmp_path, others | {"y_test.npy/": b""}).message


def test_an_encrypted_array_is_named(tmp_path):
    _file(tmp_path, MEMBERS)
    path = tmp_path / "data.npz"
    content = path.read_bytes()
    start = content.index(b"PK\x01\x02")  # the flags of the first member, in the directory at the end
    path.write_bytes(content[: start + 8] + b"\x01" + content[start + 9 :])
    with pytest.raises(DataError, match=r"x_train in .*encrypted"):
        data.load(make({"data": str(path)}))


def test_a_trillion_names_without_letters_cost_nothing(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<U0", "fortran_order": False, "shape": (10**12,)})
    assert "class_names in " in member_refusal(tmp_path, MEMBERS | {"class_names.npy": header.getvalue()}).message
