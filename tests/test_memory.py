"""What is free, what a training takes, and what is said where the two do not go together."""

from pathlib import Path

import keras
import pytest
from keras import layers

from evacli import memory
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
        with pytest.raises(MemoryShort, match=r"^It takes about 16.0 GB of memory; 10.0 GB are free\.$"):
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
