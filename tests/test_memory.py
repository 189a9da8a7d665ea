"""What is free, what a training takes, and what is said where the two do not go together."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from cifar_files import cifar10, random_images, write
from keras import layers
from tiny_data import TINY

from evacli import data, memory, models
from evacli.config import make
from evacli.engine import needs
from evacli.errors import MemoryShort
from evacli.models.weights import COPIES

GB = 2**30


def system(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


MACHINE = {"proc/meminfo": "MemTotal: 16777216 kB\nMemAvailable: 8388608 kB\nSwapFree: 1048576 kB\n"}


def test_a_machine_has_what_is_available_and_its_swap(tmp_path: Path) -> None:
    assert memory.available(system(tmp_path, MACHINE)) == 9 * GB


@pytest.mark.parametrize("place", ["", "outer", "outer/inner"])
def test_a_container_has_what_its_narrowest_group_leaves(tmp_path: Path, place: str) -> None:
    group = f"sys/fs/cgroup/{place}"
    files = {
        "proc/self/cgroup": "0::/outer/inner\n",
        f"{group}/memory.max": str(4 * GB),
        f"{group}/memory.current": str(3 * GB),
        f"{group}/memory.stat": f"anon 5\ninactive_file {GB}\n",  # files that it would give back
    }
    assert memory.available(system(tmp_path, MACHINE | files)) == 2 * GB
    (tmp_path / group / "memory.max").write_text("max\n")
    assert memory.available(tmp_path) == 9 * GB


def test_a_container_of_the_first_version(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "4:memory:/one\n",
        "sys/fs/cgroup/memory/one/memory.limit_in_bytes": str(4 * GB),
        "sys/fs/cgroup/memory/one/memory.usage_in_bytes": str(3 * GB),
        "sys/fs/cgroup/memory/one/memory.stat": "total_inactive_file 0\n",
    }
    assert memory.available(system(tmp_path, MACHINE | files)) == GB


@pytest.mark.parametrize(("needed", "said"), [(9, ""), (12, "warning"), (16, "error")])
def test_what_is_clearly_too_much_is_refused(
    needed: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(memory, "available", lambda: 10 * GB)
    if said == "error":
        with pytest.raises(MemoryShort, match=r"^It takes about 16.0 GB of memory; 10.0 GB are free\. Take less\.$"):
            memory.require(needed * GB, "It takes", "Take less.")
    else:
        memory.require(needed * GB, "It takes", "Take less.")
    assert ("Take less." in capsys.readouterr().err) == (said == "warning")


def test_where_the_system_does_not_tell_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available", lambda: None)
    memory.require(10**18, "It takes", "Take less.")


def test_a_layer_counts_at_each_of_its_places() -> None:
    pixels = keras.Input((4, 4, 2))
    again = layers.Conv2D(2, 1)
    inner = keras.Sequential([keras.Input((4, 4, 2)), again])
    network = keras.Model(
        pixels, inner(inner(pixels))
    )  # 32 numbers: pixels, and twice the inner pixels and convolution
    assert needs.training(network, 10) == needs.GRAPHS + 4 * (COPIES * 6 + needs.HELD * 10 * 32 * 5)


def test_where_tensorflow_cannot_start_it_is_not_started(monkeypatch: pytest.MonkeyPatch) -> None:
    for left in (None, 3 * GB, GB):
        monkeypatch.setattr(memory, "_limits", lambda *_, left=left: iter([] if left is None else [(left + GB, GB)]))
        if left == GB:
            with pytest.raises(MemoryShort, match=r"TensorFlow takes about 2.2 GB of addresses; .* 1.0 GB"):
                memory.require_start()
        else:
            memory.require_start()


# Seen with ulimit -v, beside Python's own.
SHORT = (
    MemoryError(),
    RuntimeError("Graph execution error:\n\nOperation received an exception:Status: 1, message: could not create a p"),
    RuntimeError("OOM when allocating tensor with shape[3072,400000]"),
    RuntimeError("std::bad_alloc"),
    RuntimeError("can't start new thread"),
    ImportError("libtensorflow_cc.so.2: failed to map segment from shared object"),
    type("ResourceExhaustedError", (Exception,), {})(),
)


@pytest.mark.parametrize("error", SHORT, ids=str)
def test_whatever_says_that_memory_is_short_is_one_error_with_what_helps(error: Exception) -> None:
    outer = ValueError("its layers cannot be made")
    outer.__cause__ = error  # as where one is raised from the other
    with pytest.raises(MemoryShort) as caught, memory.heeding("train in batches of 8", memory.lighter(8)):
        raise outer
    assert caught.value.message == "There is not enough memory to train in batches of 8."
    assert caught.value.fix == "Use --batch-size 4, smaller images or a smaller network."


def test_other_errors_are_left_alone() -> None:
    for error in (ValueError("wrong"), MemoryShort("told")):
        with pytest.raises(type(error)) as caught, memory.heeding("train", "Take less."):
            raise error
        assert caught.value is error


@pytest.mark.parametrize("layer", [layers.Dense(400_000), layers.Conv2D(4096, 64)])
def test_weights_that_are_too_many_are_refused_before_they_are_made(
    layer: layers.Layer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "net.py"
    kind, settings = type(layer).__name__, layer.get_config()
    size = settings.get("units") or f"{settings['filters']}, {settings['kernel_size']}, padding='same'"
    file.write_text(
        f"import keras\nfrom keras import layers\ndef build(shape, classes):\n    x = pixels = keras.Input(shape)\n"
        f"    x = layers.{kind}({size})({'layers.Flatten()(x)' if kind == 'Dense' else 'x'})\n"
        "    return keras.Model(pixels, layers.Dense(classes)(layers.Flatten()(x)))\n"
    )
    monkeypatch.setattr(memory, "available", lambda: GB // 4)
    with pytest.raises(MemoryShort, match=r"takes at least \d+\.\d GB of memory for its weights; 0.2 GB are free"):
        models.build(str(file), (32, 32, 3), 10, (0, 0, 0), (1, 1, 1))


def test_weights_that_may_be_too_many_are_warned_of_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    needed = COPIES * 4 * (192 * 10 + 10)
    monkeypatch.setattr(memory, "available", lambda: int(needed / 1.2))
    models.build(TINY.replace(":tiny", ":linear"), (8, 8, 3), 10, (0, 0, 0), (1, 1, 1))
    (line,) = capsys.readouterr().err.splitlines()
    assert "takes at least 0.0 GB of memory for its weights; 0.0 GB are free. Use a smaller network." in line


@pytest.mark.parametrize(("shape", "needed"), [((500, 64, 64, 3), 1), ((500, 64, 64), 4), ((500, 64, 64, 1), 4)])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_an_npz_is_estimated_before_it_is_read(
    shape: tuple[int, ...], needed: int, save: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = np.zeros(shape, np.uint8), np.arange(500) % 2
    save(tmp_path / "data.npz", x_train=x, y_train=y, x_test=x[:2], y_test=y[:2])
    needed *= x.nbytes
    monkeypatch.setattr(memory, "available", lambda: int(0.99 * needed))
    with pytest.raises(MemoryShort, match=r"data\.npz takes about 0\.0 GB"):
        data.load(make({"data": str(tmp_path / "data.npz")}))
    monkeypatch.setattr(memory, "available", lambda: int(1.02 * needed))
    assert len(data.load(make({"data": str(tmp_path / "data.npz")})).train) == 500


@pytest.mark.parametrize("dataset", ["cifar10", "mnist"])
def test_a_data_set_of_keras_is_estimated_before_it_is_read(dataset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available", lambda: 10**8)
    with pytest.raises(MemoryShort, match=rf"--dataset {dataset} takes about 0\.3 GB of memory; 0\.1 GB are free"):
        data.load(make({"dataset": dataset}))


def test_cifar_is_estimated_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "cifar", cifar10(random_images(600), [0, 1, 2] * 200))
    monkeypatch.setattr(memory, "available", lambda: 600 * 3072)
    with pytest.raises(MemoryShort, match="cifar takes about"):
        data.load(make({"data": str(folder)}))


def test_images_are_estimated_before_they_are_enlarged(digits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available", lambda: 2 * GB)
    with pytest.raises(MemoryShort, match=r"200 images of 4000x3000 take about 6\.7 GB of memory; 2\.0 GB are free"):
        data.load(make({"data": str(digits), "image_size": "4000x3000"}))
