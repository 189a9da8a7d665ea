"""Whatever bytes a data set consists of, the outcome is success or a DataError of one line."""

import io
import tarfile

import numpy as np
import pytest
from cifar_files import cifar10, random_images
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image

from evacli import data
from evacli.config import make
from evacli.errors import DataError

CIFAR = cifar10(random_images(6), [0, 1, 2, 0, 1, 2])
CAREFUL = settings(
    max_examples=settings.default.max_examples * 3 // 2,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def _npz():
    images, labels = np.zeros((4, 8, 8), np.uint8), np.array([0, 1, 0, 1])
    buffer = io.BytesIO()
    np.savez(buffer, x_train=images, y_train=labels, x_test=images, y_test=labels, class_names=np.array(["a", "b"]))
    return buffer.getvalue()


def _tar():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in CIFAR.items():
            info = tarfile.TarInfo(f"c/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def _image(kind):
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    image = Image.fromarray(random_images(1)[0])
    image.save(buffer, format=kind, **({"exif": exif} if kind in ("PNG", "JPEG", "WEBP", "TIFF") else {}))
    return buffer.getvalue()


IMAGES = {kind: _image(kind) for kind in ("PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP", "PPM")}


@st.composite
def damaged(draw, original):
    """`original` with some bytes changed, a piece cut out, or something put in; mostly near the start."""
    content = bytearray(original)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, min(len(content), draw(st.sampled_from([64, 600, 10**6])))))
        kind = draw(st.sampled_from(["change", "cut", "insert", "end"]))
        if kind == "change" and at < len(content):
            content[at] = draw(st.integers(0, 255))
        elif kind == "cut":
            del content[at : at + draw(st.integers(1, 20))]
        elif kind == "insert":
            content[at:at] = draw(st.binary(max_size=20))
        else:
            del content[at:]
    return bytes(content)


def outcome(path, **options):
    """Loads, and lets nothing but success and a DataError of one line pass."""
    try:
        return data.load(make({"data": str(path), **options}))
    except DataError as e:
        refused = e
    assert "\n" not in refused.message + refused.fix
    assert len(refused.message) < 1000
    return None


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("hostile")


@CAREFUL
@given(st.binary(max_size=400))
def test_any_file(folder, content):
    (folder / "file").write_bytes(content)
    outcome(folder / "file")


@CAREFUL
@given(damaged(_npz()))
def test_damaged_npz(folder, content):
    (folder / "file.npz").write_bytes(content)
    outcome(folder / "file.npz")


@CAREFUL
@given(damaged(_tar()))
def test_damaged_archives(folder, content):
    (folder / "file.tar").write_bytes(content)
    outcome(folder / "file.tar")


@CAREFUL
@given(name=st.sampled_from(sorted(CIFAR)), content=st.data())
def test_damaged_batches(folder, name, content):
    for other, original in CIFAR.items():
        (folder / other).write_bytes(original)
    (folder / name).write_bytes(content.draw(damaged(CIFAR[name]) | st.binary(max_size=200)))
    outcome(folder)


@pytest.mark.slow
@settings(CAREFUL, max_examples=settings.default.max_examples * 4)
@given(kind=st.sampled_from(sorted(IMAGES)), skip=st.booleans(), content=st.data())
def test_damaged_images(tmp_path_factory, kind, skip, content):
    root = tmp_path_factory.getbasetemp() / "images"
    for split in ("train", "test"):
        for name in ("a", "b"):
            (root / split / name).mkdir(parents=True, exist_ok=True)
            (root / split / name / "good").write_bytes(IMAGES["PNG"])
    (root / "train/a/bad").write_bytes(content.draw(damaged(IMAGES[kind])))
    loaded = outcome(root, skip_bad=skip)
    # Skipping always leads to a data set, whatever the one file holds.
    assert loaded or not skip
