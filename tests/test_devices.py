from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from evacli import devices
from evacli.devices import Card
from evacli.errors import ConfigError


class FakeTensorFlow:
    """Has cards, and notes what is set."""

    def __init__(self, *cards: str) -> None:
        self.done: list[Any] = []

        def note(name: str) -> Any:
            return lambda *given: self.done.append((name, *given))

        self.config = SimpleNamespace(
            list_physical_devices=lambda kind: list(cards),
            set_visible_devices=note("visible"),
            experimental=SimpleNamespace(
                set_memory_growth=note("growth"),
                enable_tensor_float_32_execution=note("TF32"),
                enable_op_determinism=note("deterministic"),
                get_device_details=lambda card: {"device_name": f"NVIDIA {card}"},
            ),
        )
        self.test = SimpleNamespace(is_built_with_cuda=lambda: True)
        self.sysconfig = SimpleNamespace(get_build_info=lambda: {"cuda_version": "12.5", "cudnn_version": "9"})


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process in which TensorFlow has not started, on a machine without a card."""
    for name, value in (("wanted", "auto"), ("deterministic", False), ("started", False), ("card", None)):
        monkeypatch.setattr(devices._Process, name, value)
    monkeypatch.setattr(devices, "is_there", lambda: False)


def test_the_first_card_is_taken_with_room_for_others() -> None:
    devices.start(tensorflow := FakeTensorFlow("H200", "T4"))
    assert devices.card() == Card("NVIDIA H200", "/GPU:0", "CUDA 12.5, cuDNN 9")
    assert devices.described() == "NVIDIA H200"
    assert ("visible", ["H200"], "GPU") in tensorflow.done
    assert ("growth", "H200", True) in tensorflow.done
    assert ("TF32", False) in tensorflow.done
    assert ("deterministic",) not in tensorflow.done


def test_cpu_hides_the_cards() -> None:
    devices.want("cpu")
    devices.start(tensorflow := FakeTensorFlow("H200"))
    assert devices.card() is None
    assert devices.described() == "CPU"
    assert tensorflow.done == [("visible", [], "GPU")]


def test_deterministic_operations_are_part_of_the_device() -> None:
    devices.want("gpu", deterministic=True)
    devices.start(tensorflow := FakeTensorFlow("T4"))
    assert ("deterministic",) in tensorflow.done
    assert devices.described() == "NVIDIA T4, deterministic"


def test_who_insists_on_a_card_is_told_that_there_is_none() -> None:
    devices.want("gpu")
    with pytest.raises(ConfigError, match="there is no NVIDIA GPU here"):
        devices.start(FakeTensorFlow())


def test_a_card_without_its_libraries_is_one_line_that_names_the_fix(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(devices, "is_there", lambda: True)
    devices.start(FakeTensorFlow())
    told = capsys.readouterr().err
    assert "so the CPU computes" in told
    assert "pip install 'evacli[gpu]'" in " ".join(told.split())
    assert devices.card() is None
    monkeypatch.setattr(devices._Process, "started", False)
    devices.want("gpu")
    with pytest.raises(ConfigError, match="cannot use") as caught:
        devices.start(FakeTensorFlow())
    assert "evacli[gpu]" in caught.value.fix


@pytest.mark.parametrize(
    ("began", "card", "wanted"), [("cpu", None, "gpu"), ("auto", None, "gpu"), ("auto", Card("T4"), "cpu")]
)
def test_a_process_keeps_its_device(
    began: Any, card: Card | None, wanted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices._Process, "wanted", began)
    monkeypatch.setattr(devices._Process, "started", True)
    monkeypatch.setattr(devices._Process, "card", card)
    with pytest.raises(ConfigError):
        devices.want(wanted)
    devices.want("auto")


def test_no_such_device() -> None:
    with pytest.raises(ConfigError, match="--device tpu"):
        devices.want("tpu")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("file", "there"),
    [("proc/driver/nvidia/gpus/0000:01:00.0", True), ("usr/lib/wsl/lib/libcuda.so.1", True), ("proc/driver/x", False)],
)
def test_cards_are_seen_by_what_their_driver_leaves(
    file: str, there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).touch()
    assert devices.is_there(tmp_path) is there


def test_the_memory_of_the_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert devices.memory() is None
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho 15360\necho 15360\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    assert devices.memory() == 15 * 2**30
