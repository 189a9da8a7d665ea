import io
import json
import os
import re
import resource
import tracemalloc
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tiny_run import HOSTILE, make_rows

from evacli.backend import keras
from evacli.config import Config
from evacli.engine import single
from evacli.errors import RunError
from evacli.run import checkpoint
from evacli.run.checkpoint import Arrays, Progress
from evacli.run.directory import RunDir


def make_progress(**changes: Any) -> Progress:
    values: dict[str, Any] = {
        "config": Config(epochs=7),
        "lr": 0.1,
        "lr_source": "--lr",
        "class_names": HOSTILE,
        "data_fingerprint": "f1",
        "network_fingerprint": "f2",
        "versions": {"python": "3"},
    }
    return Progress(**(values | changes))


def make_arrays(fill: float = 0.5) -> Arrays:
    return {
        "network": [np.full((3, 4), fill, np.float32), np.array([1, 2], np.uint32), np.float32(fill).reshape(())],
        "optimizer": [np.array(9, np.int64)],
        "best": [np.full((i % 5,), i, np.float32) for i in range(12)],  # 10 comes after 9, not after 1
        "metrics": [],
    }


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return RunDir(tmp_path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    run = RunDir(tmp_path_factory.mktemp("whole"))
    checkpoint.save(run, make_progress(), make_arrays())
    return run.checkpoint.read_bytes()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    return RunDir(tmp_path_factory.mktemp("run"))


def assert_equal(found: Arrays, expected: Arrays) -> None:
    assert {name for name, arrays in expected.items() if arrays} == set(found)
    for name, arrays in found.items():
        for a, b in zip(arrays, expected[name], strict=True):
            assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())


def test_everything_comes_back_to_the_bit(run: RunDir) -> None:
    progress = make_progress(
        rows=tuple(make_rows(3, validated=True)), batch=5, seconds=1 / 3, best_epoch=2, lr=0.1 + 0.2
    )
    checkpoint.save(run, progress, make_arrays())
    found, arrays = checkpoint.load(run)
    assert found == progress
    assert_equal(arrays, make_arrays())
    assert checkpoint.load_progress(run) == progress


def test_run_without_checkpoint(run: RunDir) -> None:
    assert checkpoint.load(run) is None
    assert checkpoint.load_progress(run) is None


def refused(run: RunDir) -> str:
    with pytest.raises(RunError, match="is damaged or no checkpoint of evacli") as caught:
        checkpoint.load(run)
    assert "\n" not in caught.value.message
    assert "--overwrite" in caught.value.fix
    return caught.value.message


def test_a_file_that_may_not_be_read_is_not_called_damaged(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint.save(run, make_progress(), make_arrays())

    def denied(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(RunError, match=r"^Cannot read .*checkpoint.npz: Permission denied") as caught:
        checkpoint.load(run)
    assert "--overwrite" not in caught.value.fix


@settings(max_examples=200)
@given(st.data())
def test_truncated_file_is_refused(shared: RunDir, whole: bytes, data: st.DataObject) -> None:
    shared.checkpoint.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    refused(shared)


@settings(max_examples=300)
@given(st.data())
def test_flipped_bit_changes_nothing_or_is_refused(shared: RunDir, whole: bytes, data: st.DataObject) -> None:
    garbled = bytearray(whole)
    garbled[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    shared.checkpoint.write_bytes(garbled)
    with suppress(RunError):
        progress, arrays = checkpoint.load(shared)
        assert progress == make_progress()
        assert_equal(arrays, make_arrays())


def test_arrays_that_the_list_of_members_has_lost_are_missed(run: RunDir, whole: bytes) -> None:
    """A zip's list has no checksum: where one flipped bit makes a comment long, it swallows the members that follow."""
    *entries, _ = [found.start() for found in re.finditer(rb"PK\x01\x02", whole)]
    assert len(entries) == 16
    for entry in entries:
        garbled = bytearray(whole)
        garbled[entry + 33] ^= 0x80
        run.checkpoint.write_bytes(garbled)
        refused(run)


@given(st.binary(max_size=2000))
def test_garbage_is_refused(shared: RunDir, content: bytes) -> None:
    shared.checkpoint.write_bytes(content)
    refused(shared)


def npz(**members: NDArray[Any]) -> bytes:
    out = io.BytesIO()
    np.savez(out, **members)
    return out.getvalue()


def progress_as(document: bytes) -> dict[str, NDArray[np.uint8]]:
    return {"progress": np.frombuffer(document, np.uint8)}


JSON = msgspec.json.encode(make_progress(class_names=("a", "b")))


@pytest.mark.parametrize(
    "content",
    [
        npz(),
        npz(weights=np.zeros(3)),
        npz(progress=np.zeros(3)),
        npz(**progress_as(b"{}")),
        npz(**progress_as(b"[" * 100_000)),
        npz(**progress_as(JSON.replace(b'"batch":0', b'"batch":-1'))),
        npz(**progress_as(JSON.replace(b'"epochs":7', b'"epochs":0'))),
        npz(**progress_as(JSON), **{"network/one": np.zeros(3)}),
        npz(**progress_as(JSON), **{"network/0": np.array([{"an": "object"}])}),
        b"PK\x05\x06" + bytes(18),
    ],
)
def test_foreign_archives_are_refused(run: RunDir, content: bytes) -> None:
    run.checkpoint.write_bytes(content)
    refused(run)


def test_folder_in_its_place_is_refused(run: RunDir) -> None:
    run.checkpoint.mkdir()
    refused(run)


class Evil:
    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch evil",)


def test_pickles_are_not_opened(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run.path)
    run.checkpoint.write_bytes(npz(**progress_as(JSON), **{"network/0": np.array([Evil()], object)}))
    refused(run)
    assert not Path("evil").exists()


def bomb() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("progress.npy", npz_member(np.zeros(2**28, np.uint8)))
    return out.getvalue()


def npz_member(array: NDArray[Any]) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def overlapping() -> bytes:
    """A thousand entries that all are the same megabyte."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("network/0.npy", npz_member(np.zeros(2**20, np.uint8)))
        first = archive.infolist()[0]
        for i in range(1, 1000):
            again = zipfile.ZipInfo(f"network/{i}.npy")
            for name in ("header_offset", "file_size", "compress_size", "CRC"):
                setattr(again, name, getattr(first, name))
            archive.filelist.append(again)
        archive._didModify = True
    return out.getvalue()


def boasting() -> bytes:
    """An array that says to be larger than what follows."""
    out = io.BytesIO()
    header = npz_member(np.zeros(8, np.uint8)).replace(b"(8,), }" + b" " * 12, b"(10000000000000,), }"[:19])
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("progress.npy", header)
    return out.getvalue()


@pytest.mark.parametrize("make", [bomb, overlapping, boasting])
def test_bombs_are_refused_within_little_memory(run: RunDir, make: Callable[[], bytes]) -> None:
    run.checkpoint.write_bytes(make())
    tracemalloc.start()
    try:
        refused(run)
        assert tracemalloc.get_traced_memory()[1] < 10 * 2**20
    finally:
        tracemalloc.stop()


def test_sparse_file_of_a_terabyte_is_refused(run: RunDir, whole: bytes) -> None:
    run.checkpoint.write_bytes(whole)
    os.truncate(run.checkpoint, 2**40)
    refused(run)


def test_every_kind_of_variable_comes_back(run: RunDir) -> None:
    kinds = ("float32", "float64", "float16", "bfloat16", "int64", "uint32", "bool")
    variables = [keras.Variable(np.ones(3), dtype=kind, trainable=False) for kind in kinds]
    checkpoint.save(run, make_progress(), {"network": [variable.numpy() for variable in variables]})
    _, arrays = checkpoint.load(run)
    fitting = single._fitting(variables, arrays["network"], "network")
    for variable, value in zip(variables, fitting, strict=True):
        variable.assign(np.zeros(3))
        variable.assign(value)
    assert all((np.asarray(v.numpy(), float) == 1).all() for v in variables)


@pytest.mark.parametrize("limit", [0, 100, 1000, 5000])
def test_full_disk_leaves_the_checkpoint_before(run: RunDir, limit: int) -> None:
    checkpoint.save(run, make_progress(), make_arrays(1))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(RunError, match=r"Cannot write .*checkpoint\.npz: File too large"):
            checkpoint.save(run, make_progress(batch=1), make_arrays(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    progress, arrays = checkpoint.load(run)
    assert progress.batch == 0
    assert_equal(arrays, make_arrays(1))
    assert (
        "checkpoint.npz" in {path.name for path in run.path.iterdir()} <= {"checkpoint.npz", "checkpoint-previous.npz"}
    )


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:-9])])
def test_the_one_before_takes_the_place_of_a_damaged_one(
    run: RunDir, links: bool, damage: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if not links:
        monkeypatch.setattr(Path, "hardlink_to", lambda *_: (_ for _ in ()).throw(OSError(95, "Not supported")))
    for batch in range(3):
        checkpoint.save(run, make_progress(batch=batch), make_arrays(batch))
    damage(run.checkpoint)
    assert checkpoint.load_progress(run).batch == 1
    assert capsys.readouterr().err == ""
    progress, arrays = checkpoint.load(run)
    assert progress.batch == 1
    assert_equal(arrays, make_arrays(1))
    err = capsys.readouterr().err
    assert "Going on from the one before: epoch 1, after 1 of its batches" in err
    assert [path.name for path in run.path.iterdir()] == ["checkpoint.npz"]  # the damaged one is never kept instead
    assert checkpoint.load(run)[0].batch == 1


def test_too_little_memory_says_nothing_about_a_checkpoint(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    for batch in range(2):
        checkpoint.save(run, make_progress(batch=batch), make_arrays())
    monkeypatch.setattr(np, "load", lambda *_, **__: (_ for _ in ()).throw(MemoryError))
    with pytest.raises(MemoryError):
        checkpoint.load(run)
    assert run.checkpoint_before.exists()


ROW = msgspec.to_builtins(make_rows(1)[0])


@pytest.mark.parametrize(
    "change",
    [
        {"lr": -1},
        {"lr": float("nan")},
        {"lr": 0},
        {"base_lr": float("inf")},
        {"seconds": float("nan")},
        {"batch": 10**12},
        {"best_epoch": 1},
        {"rows": [ROW | {"epoch": 2}]},
        {"rows": [ROW, ROW]},
        {"rows": [ROW | {"train_accuracy": 7}]},
        {"rows": [ROW | {"test_loss": 1e308}]},
    ],
    ids=str,
)
def test_numbers_that_no_training_has_are_refused(run: RunDir, change: dict[str, Any]) -> None:
    run.checkpoint.write_bytes(npz(**progress_as(json.dumps(json.loads(JSON) | change).encode())))
    refused(run)
