"""Pictures in archives and lists, and in the files of MNIST and SVHN: the same data as in folders."""

import csv
import gzip
import json
import shutil
import struct
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image
from scipy import io

from evacli import data
from evacli.config import make
from evacli.errors import DataError

RNG = np.random.default_rng(0)


def picture(path, size=(12, 10)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RNG.integers(0, 256, (size[1], size[0], 3), np.uint8)).save(path, format="PNG")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("pictures") / "photos"
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            for i in range(3):
                picture(root / split / name / f"{i}.png")
    return root


def load(path, **settings):
    return data.load(make({"data": str(path), **settings}))


def refusal(path, **settings):
    with pytest.raises(DataError) as caught:
        load(path, **settings)
    assert "\n" not in caught.value.message + caught.value.fix
    return caught.value.message


# -- archives ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["zip", "tar", "gztar"])
def test_an_archive_is_the_same_data_as_its_folder(root, tmp_path, kind):
    path = shutil.make_archive(str(tmp_path / "photos"), kind, root.parent, "photos")
    loaded, expected = load(path), load(root)
    assert loaded.fingerprint == expected.fingerprint
    assert loaded.train.names == [f"photos/{name}" for name in expected.train.names]
    assert sorted(tmp_path.iterdir()) == [tmp_path / path]  # nothing was unpacked


def test_what_macos_adds_to_archives_is_no_obstacle(root, tmp_path):
    path = tmp_path / "photos.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in root.rglob("*.png"):
            archive.write(file, file.relative_to(root.parent))
            archive.writestr(f"__MACOSX/{file.relative_to(root.parent).parent}/._{file.name}", b"x")
        archive.writestr("photos/.DS_Store", b"x")
    assert load(path).fingerprint == load(root).fingerprint


def zipped(tmp_path, *members):
    path = tmp_path / "photos.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def test_a_zip_that_leads_out_or_bombs_is_refused(tmp_path, monkeypatch):
    assert "leads out" in refusal(zipped(tmp_path, ("../cat/1.png", b"x")))
    monkeypatch.setattr("evacli.data.containers.HARMLESS", 2**20)
    assert "would unpack" in refusal(zipped(tmp_path, ("cat/1.png", bytes(2**22))))


def test_a_link_in_a_zip_is_named(root, tmp_path):
    path = shutil.make_archive(str(tmp_path / "photos"), "zip", root)
    link = zipfile.ZipInfo("train/cat/link.png")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    assert "train/cat/link.png (a link)" in refusal(path)


def test_an_encrypted_zip_is_named(root, tmp_path):
    path = tmp_path / "photos.zip"
    shutil.make_archive(str(path.with_suffix("")), "zip", root)
    content = path.read_bytes()
    start = content.index(b"PK\x01\x02")
    path.write_bytes(content[: start + 8] + b"\x01" + content[start + 9 :])
    assert "is encrypted" in refusal(path)


def test_a_tar_with_a_link_is_refused(root, tmp_path):
    path = tmp_path / "photos.tar"
    with tarfile.open(path, "w") as tar:
        tar.add(root, "photos")
        link = tarfile.TarInfo("photos/train/cat/link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    assert "no plain file" in refusal(path)


# -- lists -------------------------------------------------------------------------------------------------------------


def listing(path, header, rows, delimiter=","):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(header)
        writer.writerows(rows)
    return path


@pytest.fixture
def flat(root, tmp_path):
    """All pictures in one folder, and what is known of each."""
    rows = []
    for file in sorted(root.rglob("*.png")):
        split, name, _ = file.relative_to(root).parts
        (tmp_path / "images").mkdir(exist_ok=True)
        shutil.copy(file, tmp_path / "images" / f"{split}-{name}-{file.name}")
        rows.append((f"{split}-{name}-{file.name}", name, split))
    return tmp_path, rows


@pytest.mark.parametrize("header", [("path", "label", "split"), ("Image_Path", "Category", "set")])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_list_is_the_same_data_as_folders(root, flat, header, delimiter):
    folder, rows = flat
    path = listing(folder / "list.csv", header, [(f"images/{name}", *rest) for name, *rest in rows], delimiter)
    loaded = load(path)
    assert loaded.fingerprint == load(root).fingerprint
    assert loaded.test.names[0] == "images/test-cat-0.png"


def test_a_list_beside_the_pictures_is_found(root, flat):
    folder, rows = flat
    listing(folder / "labels.csv", ("id", "label", "split"), [(name[:-4], *rest) for name, *rest in rows])
    assert load(folder).fingerprint == load(root).fingerprint


def test_metadata_beside_the_pictures_of_each_split_is_found(root, flat):
    folder, rows = flat
    for split in ("train", "test"):
        (folder / "hub" / split).mkdir(parents=True)
        mine = [(name, label) for name, label, of in rows if of == split]
        for name, _ in mine:
            shutil.copy(folder / "images" / name, folder / "hub" / split / name)
        listing(folder / "hub" / split / "metadata.csv", ("file_name", "label"), mine)
    assert load(folder / "hub").fingerprint == load(root).fingerprint


def test_a_list_without_splits_has_a_part_kept_for_tests(flat):
    folder, rows = flat
    path = listing(folder / "list.csv", ("path", "label"), [(f"images/{name}", label) for name, label, _ in rows])
    loaded = load(path, test_split=0.5)
    assert np.bincount(loaded.test.labels).tolist() == [3, 3]


@pytest.mark.parametrize(
    ("header", "rows", "expected"),
    [
        (("path", "size"), [("a", "1")], "no columns of paths and classes"),
        (("path", "label"), [], "lists no pictures"),
        (("path", "label"), [("gone.png", "cat")], "none of the files that it lists is there"),
        (("path", "label"), [("images/train-cat-0.png", "")], "line 2 has no path or no class"),
        (("path", "label"), [("images/train-cat-0.png", "cat")] * 2, "more than once"),
        (("path", "label", "split"), [("images/train-cat-0.png", "cat", "holdout")], "has the split holdout"),
        (("path", "label", "split"), [("images/train-cat-0.png", "cat", "test")], "no training images"),
    ],
)
def test_a_list_that_cannot_be_used_is_told_why(flat, header, rows, expected):
    assert expected in refusal(listing(flat[0] / "list.csv", header, rows))


def test_listed_files_that_are_missing_are_named(flat):
    folder, rows = flat
    path = listing(folder / "list.csv", ("path", "label"), [(f"images/{name}", label) for name, label, _ in rows])
    (folder / "images" / rows[0][0]).unlink()
    assert f"images/{rows[0][0]} (there is no such file)" in refusal(path)
    assert len(load(path, skip_bad=True).train) + len(load(path, skip_bad=True).test) == 11


# -- MNIST's and SVHN's files ------------------------------------------------------------------------------------------


def write_idx(path, array, pack):
    content = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(content) if pack else content)


def idx(folder, start="", pack=True, first=0):
    made = {}
    for role, count in (("train", 30), ("t10k" if not start else "test", 10)):
        images, labels = RNG.integers(0, 256, (count, 9, 8), np.uint8), (np.arange(count) % 3 + first).astype(np.uint8)
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            write_idx(folder / f"{start}{role}-{kind}-ubyte{'.gz' * pack}", array, pack)
        made[role] = images, labels
    return made


@pytest.mark.parametrize("pack", [True, False])
def test_idx_files_are_read(tmp_path, capsys, pack):
    images, labels = idx(tmp_path, pack=pack)["train"]
    loaded = load(tmp_path)
    np.testing.assert_array_equal(loaded.train.images.array[..., 1], images)
    np.testing.assert_array_equal(loaded.train.labels, labels)
    assert (len(loaded.test), loaded.flippable, loaded.class_names) == (10, False, ("0", "1", "2"))
    assert "mirrored only with --flip" in capsys.readouterr().err


def test_of_emnist_one_set_is_named_and_turned_upright(tmp_path):
    images, _ = idx(tmp_path, "emnist-letters-", first=1)["test"]
    idx(tmp_path, "emnist-digits-")
    assert "several sets: emnist-digits, emnist-letters" in refusal(tmp_path)
    loaded = load(tmp_path / "emnist-letters-test-images-idx3-ubyte.gz")
    np.testing.assert_array_equal(loaded.test.images.array[..., 0], images.transpose(0, 2, 1))
    assert loaded.class_names == ("1", "2", "3")


@pytest.mark.parametrize(
    "content", [b"", b"\0\0\x08", b"\x1f\x8bgarbage", struct.pack(">HBB3I", 0, 8, 3, *[2**31] * 3)]
)
def test_garbled_idx_files_are_named(tmp_path, content):
    idx(tmp_path, pack=False)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(content)
    assert "train-images-idx3-ubyte" in refusal(tmp_path)
    (tmp_path / "train-images-idx3-ubyte").unlink()
    assert "lacks the train images" in refusal(tmp_path)


def test_svhn_is_read(tmp_path):
    made = {}
    for role, count in (("train", 20), ("test", 10)):
        made[role] = RNG.integers(0, 256, (9, 9, 3, count), np.uint8), np.arange(1, count + 1)[:, None] % 10 + 1
        io.savemat(tmp_path / f"{role}_32x32.mat", {"X": made[role][0], "y": made[role][1].astype(np.uint8)})
    loaded = load(tmp_path)
    np.testing.assert_array_equal(loaded.test.images.array, np.moveaxis(made["test"][0], -1, 0))
    np.testing.assert_array_equal(loaded.test.labels, made["test"][1][:, 0] % 10)
    (tmp_path / "test_32x32.mat").write_bytes(b"MATLAB garbage")
    assert "test_32x32.mat" in refusal(tmp_path)


# -- sizes -------------------------------------------------------------------------------------------------------------


def test_circles_stay_circles_unless_stretched(tmp_path):
    """A white disc in a wide picture is as wide as high when it is cropped or padded."""
    y, x = np.mgrid[:100, :200]
    disc = np.where((y - 50) ** 2 + (x - 100) ** 2 < 30**2, 255, 0).astype(np.uint8)
    for name in ("cat", "dog"):
        for i in range(2):
            (tmp_path / "data" / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(disc).save(tmp_path / "data" / name / f"{i}.png")
    extents = {}
    for how in ("crop", "pad", "stretch"):
        shown = load(tmp_path / "data", image_size="50", resize=how).train.images.array[0, ..., 0] > 127
        extents[how] = shown.any(axis=0).sum(), shown.any(axis=1).sum()  # wide, high
    assert extents == {"crop": (30, 30), "pad": (15, 15), "stretch": (15, 30)}


def test_arrays_are_brought_to_a_size_as_well():
    loaded = data.load(make({"dataset": "digits", "image_size": "12x16", "limit_train": 20, "limit_test": 10}))
    assert loaded.image_shape == loaded.test.images.shape == (12, 16, 3)


# -- kept tests --------------------------------------------------------------------------------------------------------


def test_images_that_a_kept_split_does_not_list_are_named(root, tmp_path, capsys):
    shutil.copytree(root / "train", tmp_path / "data")
    first = load(tmp_path / "data")
    picture(tmp_path / "data/cat/new.png")
    again = data.load(make({"data": str(tmp_path / "data")}), first.drawn)
    assert again.fingerprint == first.fingerprint
    assert again.drawn is None
    assert "1 new image that split.csv does not list: cat/new.png" in capsys.readouterr().err


# -- arrays from a notebook --------------------------------------------------------------------------------------------


def test_arrays_are_kept_in_the_run(root, tmp_path):
    from evacli.errors import ConfigError, Contradiction
    from evacli.run import config_file
    from evacli.run.directory import RunDir

    run = RunDir(tmp_path / "run")
    images, labels = RNG.integers(0, 256, (20, 9, 8, 3), np.uint8), np.arange(20) % 2
    with pytest.raises(ConfigError, match="--epochs 0"):
        config_file.inherit(run, {"data": (images, labels), "epochs": 0})
    assert not run.path.exists()
    with pytest.raises(DataError, match="data has 3 arrays"):
        config_file.inherit(run, {"data": (images, labels, images)})
    settled = config_file.inherit(run, {"data": (images, labels, images[:4], labels[:4])})
    loaded = data.load(settled)
    np.testing.assert_array_equal(loaded.train.images.array, images)
    np.testing.assert_array_equal(loaded.test.labels, labels[:4])
    run.checkpoint.touch()
    config_file.inherit(run, {"data": (images, labels, images[:4], labels[:4])}, trained=False)
    with pytest.raises(Contradiction, match="other arrays"):
        config_file.inherit(run, {"data": (images, labels)}, trained=False)


# -- parquet -----------------------------------------------------------------------------------------------------------


def parquet(path, root, split, metadata=None, as_text=False):
    import pyarrow
    import pyarrow.parquet

    files = sorted((root / split).rglob("*.png"))
    labels = [file.parent.name for file in files]
    numbers = [["cat", "dog"].index(label) for label in labels]
    images = [str(file) for file in files] if as_text else [{"bytes": f.read_bytes(), "path": f.name} for f in files]
    table = pyarrow.table({"image": images, "label": labels if metadata is None else numbers})
    pyarrow.parquet.write_table(table.replace_schema_metadata(metadata), path, row_group_size=2)


def test_tables_of_a_hub_are_the_same_data_as_folders(root, tmp_path):
    (tmp_path / "data").mkdir()
    described = {"info": {"features": {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}}
    for split in ("train", "test"):
        path = tmp_path / "data" / f"{split}-00000-of-00001.parquet"
        parquet(path, root, split, {"huggingface": json.dumps(described)})
    assert load(tmp_path).fingerprint == load(root).fingerprint


def test_a_table_may_name_files_and_classes(root, tmp_path):
    parquet(tmp_path / "pictures.parquet", root, "train", as_text=True)
    loaded = load(tmp_path / "pictures.parquet", test_split=0.3)
    assert (len(loaded.train), len(loaded.test), loaded.class_names) == (4, 2, ("cat", "dog"))


def test_a_garbled_table_is_named(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1 garbage")
    assert "a.parquet" in refusal(tmp_path / "a.parquet")
