"""Images beyond memory: decoded to disk once, the same to the pixel and to the bit."""

import errno
import json
import os

import numpy as np
import pytest
from PIL import Image
from tiny_data import TINY
from typer.testing import CliRunner

from evacli import data, paths
from evacli.config import make
from evacli.data import cache, decoding
from evacli.errors import DataError, MemoryShort

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("EVACLI_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def root(tmp_path):
    for name, colour in (("cat", 60), ("dog", 180)):
        for i in range(12):
            path = tmp_path / "photos" / name / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(RNG.integers(colour - 50, colour + 50, (10, 8, 3), np.uint8)).save(path)
    return tmp_path / "photos"


def load(root, **settings):
    return data.load(make({"data": str(root), **settings}))


def test_cache_and_memory_hold_the_same(root, place):
    held, mapped = load(root), load(root, memory=0)
    assert mapped.fingerprint == held.fingerprint
    assert (mapped.mean, mapped.std, mapped.train.names) == (held.mean, held.std, held.train.names)
    assert isinstance(mapped.train.images, cache.Mapped)
    order = RNG.permutation(len(held.train))
    np.testing.assert_array_equal(mapped.train.images.read(order), held.train.images.read(order))
    np.testing.assert_array_equal(np.concatenate([*mapped.test.images.blocks(3)]), held.test.images.array)


@pytest.mark.parametrize("more", [{}, {"val_split": 0.2}, {"limit_train": 10}])
def test_the_second_command_reads_no_picture(root, monkeypatch, more):
    first = load(root, memory=0, **more)
    monkeypatch.setattr(decoding.pictures, "size", lambda file: pytest.fail("looked at"))
    monkeypatch.setattr(decoding.pictures, "pixels", lambda *_: pytest.fail("decoded"))
    monkeypatch.setattr(data, "survey", lambda *_: pytest.fail("surveyed"))
    assert load(root, memory=0, **more).fingerprint == first.fingerprint


def test_what_pixels_depend_on_makes_another_entry(root, place):
    before = load(root, memory=0).fingerprint
    load(root, memory=0, image_size="9")
    load(root, memory=0, resize="stretch")
    Image.new("RGB", (8, 10), "red").save(root / "cat/0.png")
    assert load(root, memory=0).fingerprint != before
    assert len(cache.entries()) == 4


def test_files_that_cannot_be_read_are_told_each_time(root, capsys):
    (root / "cat/0.png").write_text("hello")
    with pytest.raises(DataError, match=r"cat/0\.png \(not an image\)"):
        load(root, memory=0)
    assert cache.entries() == []
    expected = load(root, skip_bad=True).fingerprint
    for _ in range(2):
        assert load(root, memory=0, skip_bad=True).fingerprint == expected
        assert "cat/0.png (not an image)" in capsys.readouterr().err
    with pytest.raises(DataError, match=r"cat/0\.png \(not an image\)"):
        load(root, memory=0)


def test_an_entry_appears_when_it_is_whole(root, place, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(decoding.pictures, "pixels", stopped)
    with pytest.raises(KeyboardInterrupt):
        load(root, memory=0)
    assert [child.name for child in place.iterdir()] == [".lock"]


def test_a_damaged_entry_is_made_anew(root, place):
    expected = load(root, memory=0).fingerprint
    (entry,) = cache.entries()
    (place / entry.path / cache.IMAGES).write_bytes(b"damaged")
    assert load(root, memory=0).fingerprint == expected


def test_a_full_disk_is_one_line_and_leaves_nothing(root, place, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(MemoryShort, match="No space left on device"):
        load(root, memory=0)
    assert [child.name for child in place.iterdir()] == [".lock"]


def test_entries_keep_to_the_limit(root, monkeypatch, capsys):
    load(root, memory=0)
    (first,) = cache.entries()
    monkeypatch.setenv("EVACLI_CACHE_GB", str(1.5 * first.bytes / 2**30))
    load(root, memory=0, resize="pad")
    (second,) = cache.entries()
    assert second.path != first.path
    assert "Removed from" in capsys.readouterr().err
    monkeypatch.setenv("EVACLI_CACHE_GB", "0")
    with pytest.raises(MemoryShort, match="more than the 0 GB"):
        load(root, memory=0, resize="stretch")
    assert cache.entries() == [second]


def test_they_are_listed_and_cleared(root):
    from evacli.cli import app

    load(root, memory=0)
    listed = CliRunner().invoke(app, ["cache", "--json"])
    (entry,) = json.loads(listed.stdout)
    assert (entry["data"], entry["images"], entry["shape"]) == (paths.shown(str(root)), 24, [10, 8, 3])
    assert json.loads(CliRunner().invoke(app, ["cache", "--clear", "--json"]).stdout) == []
    assert cache.entries() == []


@pytest.mark.tensorflow
def test_a_training_from_the_cache_has_the_same_bits(root, tmp_path):
    from evacli import train

    arrays = {}
    for how in ("held", "mapped"):
        run = tmp_path / how
        memory = {"mapped": 0.0}.get(how)
        train(run, data=str(root), model=TINY, epochs=2, batch_size=8, precision="float32", lr=0.05, memory=memory)
        with np.load(run / "checkpoint.npz") as stored:
            arrays[how] = {name: stored[name].tobytes() for name in stored.files if name != "progress"}
    assert arrays["held"] == arrays["mapped"]
