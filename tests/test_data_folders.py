import os
import shutil
import subprocess
import sys
import unicodedata

import numpy as np
import pytest
from PIL import Image

from evacli import data, paths
from evacli.config import make
from evacli.errors import DataError

RNG = np.random.default_rng(0)


def picture(path, size=(12, 10)):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = RNG.integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(pixels).save(path, format="PNG")
    return pixels


@pytest.fixture
def root(tmp_path):
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            for i in range(3):
                picture(tmp_path / "data" / split / name / f"{i}.png")
    return tmp_path / "data"


def load(root, **settings):
    return data.load(make({"data": str(root), **settings}))


def refusal(root, **settings):
    with pytest.raises(DataError) as caught:
        load(root, **settings)
    assert "\n" not in caught.value.message + caught.value.fix
    return caught.value.message


def test_reads_classes_and_files_in_the_order_of_their_names(root):
    pixels = picture(root / "train/cat/10.png")
    loaded = load(root)
    assert loaded.class_names == ("cat", "dog")
    assert loaded.train.names[:3] == ["train/cat/0.png", "train/cat/1.png", "train/cat/10.png"]
    assert loaded.train.labels.tolist() == [0, 0, 0, 0, 1, 1, 1]
    np.testing.assert_array_equal(loaded.train.images.array[2], pixels)
    assert loaded.image_shape == (10, 12, 3)
    assert len(loaded.test) == 6


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_a_validation_folder_alone_is_the_test_split(root, name):
    (root / "test").rename(root / name)
    loaded = load(root)
    assert loaded.test.names[0] == f"{name}/cat/0.png"
    assert loaded.validation is None


def test_a_validation_folder_beside_a_test_folder_is_the_validation_split(root):
    shutil.copytree(root / "test", root / "valid")
    loaded = load(root)
    assert loaded.test.names[0] == "test/cat/0.png"
    assert loaded.validation.names[0] == "valid/cat/0.png"


def test_refuses_two_validation_folders(root):
    shutil.copytree(root / "test", root / "valid")
    shutil.copytree(root / "test", root / "val")
    assert "has val, valid" in refusal(root)


def test_all_images_get_the_most_common_size_of_the_training_images(root, capsys):
    picture(root / "train/cat/3.png", (30, 40))
    loaded = load(root)
    assert loaded.image_shape == (10, 12, 3)
    assert "1 of 13 images was resized and cropped to 12x10 pixels" in capsys.readouterr().err


def test_large_images_are_brought_to_224_pixels_a_side(root, capsys):
    for path in sorted(root.glob("*/*/*")):
        picture(path, (448, 300))
    assert load(root).image_shape == (150, 224, 3)
    assert "12 of 12 images" in capsys.readouterr().err


def test_images_of_one_size_raise_no_warning(root, capsys):
    load(root)
    assert capsys.readouterr().err == ""


def test_hidden_files_and_what_file_managers_leave_are_left_alone(root):
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", ".hidden.png"):
        (root / "train/cat" / name).write_text("x")
    (root / "train/.cache").mkdir()
    (root / "train/labels.csv").write_text("x")
    assert len(load(root).train) == 6


def break_files(root):
    """Makes four training files unusable, each in its own way; another is a folder, which may be empty."""
    train = root / "train"
    (train / "cat/0.png").write_bytes((train / "cat/0.png").read_bytes()[:100])
    (train / "cat/1.png").write_bytes(b"")
    (train / "dog/0.png").write_text("hello")
    (train / "dog/1.png").unlink()
    (train / "dog/1.png").mkdir()
    Image.new("1", (20_000, 9_000)).save(train / "dog/2.png")


def test_names_every_bad_file_with_what_is_wrong(root):
    break_files(root)
    message = refusal(root)
    assert message.startswith("4 files in")
    for name, problem in [
        ("train/cat/0.png", "truncated"),
        ("train/cat/1.png", "empty"),
        ("train/dog/0.png", "not an image"),
        ("train/dog/2.png", "megapixels"),
    ]:
        assert name in message
        assert problem in message.partition(name)[2].partition(")")[0]


def test_names_ten_bad_files_and_counts_the_others(root):
    for i in range(13):
        (root / f"test/cat/bad{i:02}.png").write_text("x")
    message = refusal(root)
    assert message.startswith("13 files")
    assert "bad09.png" in message
    assert "bad10.png" not in message
    assert message.endswith("and 3 more.")


def test_goes_on_without_bad_files_when_told_so(root, capsys):
    break_files(root)
    picture(root / "train/dog/3.png")
    kept = picture(root / "train/cat/2.png")
    good = load(root, skip_bad=True)
    assert good.train.names == ["train/cat/2.png", "train/dog/3.png"]
    assert good.train.labels.tolist() == [0, 1]
    assert good.train.images.array[0].tolist() == kept.tolist()
    assert "4 files" in capsys.readouterr().err


def test_a_class_without_a_good_image_is_refused_though_bad_ones_are_skipped(root):
    break_files(root)
    assert "without any: dog" in refusal(root, skip_bad=True)


def test_a_folder_without_a_good_image_is_refused(root):
    for path in root.glob("*/*/*"):
        path.write_text("x")
    assert refusal(root).startswith("12 files")
    assert "no training images" in refusal(root, skip_bad=True)


def test_links_inside_the_folder_are_followed(root):
    (root / "train/cat/link.png").symlink_to("../../test/cat/0.png")
    loaded = load(root)
    np.testing.assert_array_equal(loaded.train.images.array[3], loaded.test.images.array[0])


def test_links_that_lead_out_are_named(root, tmp_path):
    picture(tmp_path / "outside.png")
    (root / "train/cat/link.png").symlink_to(tmp_path / "outside.png")
    assert "train/cat/link.png (a link out of the data folder)" in refusal(root)


def test_loops_broken_links_and_pipes_are_named(root):
    (root / "train/cat/loop.png").symlink_to("loop.png")
    (root / "train/cat/up").symlink_to("..")
    (root / "train/cat/gone.png").symlink_to("gone")
    os.mkfifo(root / "train/cat/pipe.png")
    message = refusal(root)
    assert message.startswith("4 files")
    assert "up (a link to a folder above it)" in message
    for name in ("loop", "gone", "pipe"):
        assert f"{name}.png (not a file)" in message


@pytest.mark.parametrize("inner", ["train", "test", "train/cat"])
def test_folders_that_are_links_out_are_refused(root, tmp_path, inner):
    (root / inner).rename(tmp_path / "elsewhere")
    (root / inner).symlink_to(tmp_path / "elsewhere")
    assert f"{paths.shown(str(root))}/{inner} is a link out" in refusal(root)


def test_the_folder_itself_may_be_a_link(root, tmp_path):
    (tmp_path / "link").symlink_to(root)
    assert load(tmp_path / "link").fingerprint == load(root).fingerprint


@pytest.mark.parametrize("split", ["train", "test"])
def test_classes_that_differ_in_case_alone_are_refused(root, split):
    picture(root / split / "Cat" / "0.png")
    assert "differ in case alone: Cat, cat" in refusal(root)


def test_an_empty_class_is_named(root):
    (root / "train/owl").mkdir()
    picture(root / "test/owl/0.png")
    assert "train has no images of 1 of 3 classes: owl" in refusal(root)


@pytest.mark.parametrize(("full", "lacking"), [("train", "test"), ("test", "train")])
def test_a_class_missing_in_one_split_is_named(root, full, lacking):
    picture(root / full / "owl" / "0.png")
    assert f"{lacking} has no images of 1 of 3 classes: owl" in refusal(root)


def test_a_single_class_is_refused(root):
    for split in ("train", "test"):
        shutil.rmtree(root / split / "dog")
    assert "two classes at least" in refusal(root)


def test_tiny_images_are_refused(root):
    for path in sorted(root.glob("*/*/*")):
        picture(path, (12, 7))
    assert "12x7 pixels, expected 8x8" in refusal(root)


def test_hostile_class_names_come_through(tmp_path):
    names = ["[bold]", r"$\frac$", "<script>", "=1+1", "\udc80", "x" * 250, "\x1b[31m"]
    for split in ("train", "test"):
        for name in names:
            picture(tmp_path / split / name / "0.png")
    assert load(tmp_path).class_names == tuple(sorted(names))


def test_with_a_limit_only_the_chosen_files_are_read(root):
    (root / "train/dog/2.png").write_text("broken")
    outcomes = set()
    for seed in range(8):
        try:
            outcomes.add(len(load(root, limit_train=2, seed=seed).train))
        except DataError as e:
            outcomes.add(e.message.partition(" ")[0])
    assert outcomes == {2, "1"}


def test_an_empty_folder_is_told_what_was_expected(tmp_path):
    assert refusal(tmp_path).endswith("is empty.")


def test_tests_without_training_images_are_told_what_was_expected(root):
    shutil.rmtree(root / "train")
    assert "but no folder train" in refusal(root)


def test_a_folder_of_pictures_without_classes_is_told_what_was_expected(root):
    assert "no folders of classes" in refusal(root / "train/cat")


def test_a_single_image_is_told_what_was_expected(root):
    assert "is a single image" in refusal(root / "train/cat/0.png")


def test_threads_read_the_same_as_one(root, monkeypatch):
    alone = load(root).fingerprint
    monkeypatch.setattr("evacli.data.decoding.WORTH_THREADS", 1)
    assert load(root).fingerprint == alone


# -- names as text -------------------------------------------------------------------------------------------------


def apart(name):
    return unicodedata.normalize("NFD", name)


@pytest.fixture
def accented(tmp_path):
    """Four classes, two of them spelled in another form in each split, as systems do."""
    for split, form in ("train", "NFC"), ("test", "NFD"), ("val", "NFC"):
        for name in ("thé", "café", "eau", "vin"):
            for i in range(2):
                picture(tmp_path / "data" / split / unicodedata.normalize(form, name) / f"é{i}.png")
    return tmp_path / "data"


def test_class_folders_are_matched_as_text(accented):
    loaded = load(accented)
    assert loaded.class_names == ("café", "eau", "thé", "vin")
    for split in loaded.train, loaded.test, loaded.validation:
        assert split.labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert loaded.test.names[:2] == ["test/café/é0.png", "test/café/é1.png"]
    whole = load(accented)
    (accented / "train" / "café").rename(accented / "train" / apart("café"))
    assert load(accented).fingerprint == whole.fingerprint


def test_a_class_that_lacks_images_is_named_as_text(accented):
    shutil.rmtree(accented / "test" / apart("thé"))
    assert "has no images of 1 of 4 classes: thé" in refusal(accented)


@pytest.mark.parametrize("split", ["train", "test", "val"])
def test_two_folders_of_one_name_in_a_split_are_named(accented, split):
    for name in "café", apart("café"):
        (accented / split / name).mkdir(exist_ok=True)
    message = refusal(accented)
    assert f"{split} has two folders of one name" in message
    assert r"'cafe\u0301', 'caf\xe9'" in message


PROGRAM = """
import sys
from evacli import data
from evacli.config import make
loaded = data.load(make({"data": sys.argv[1]}))
print(ascii((loaded.class_names, loaded.fingerprint, loaded.train.names, loaded.test.names)))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="other systems know the encoding of their names")
def test_a_folder_is_the_same_data_in_every_locale(accented):
    picture(accented / "train" / "eau" / "猫.png")
    expected = load(accented)
    shown = ascii((expected.class_names, expected.fingerprint, expected.train.names, expected.test.names))
    for utf8 in "0", "1":
        locale = {"LC_ALL": "C", "PYTHONUTF8": utf8, "PYTHONCOERCECLOCALE": "0"}
        command = [sys.executable, "-c", PROGRAM, accented]
        done = subprocess.run(command, env=os.environ | locale, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == shown
