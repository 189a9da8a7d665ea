"""What a process computes on: the processor, or a graphics card that TensorFlow can use.

TensorFlow settles that once, as it starts. So it is said before, by `want`, and holds for the whole process; it is no
part of a run, which may go on on another device.
"""

import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from evacli import console
from evacli.errors import ConfigError

Device = Literal["auto", "cpu", "gpu"]
PROCESSOR = "CPU"
INSTALL = "Install its libraries: pip install 'evacli[gpu]'."


class Card(NamedTuple):
    """A graphics card that computes.

    Attributes:
        name: as its maker calls it.
        place: as TensorFlow calls it.
        software: versions of the libraries that compute on it.
    """

    name: str
    place: str = "/GPU:0"
    software: str = ""


class _Process:
    """What this process was told, and what came of it."""

    wanted: Device = "auto"
    deterministic = False
    started = False
    card: Card | None = None


def want(device: Device = "auto", *, deterministic: bool = False) -> None:
    """Say on what this process is to compute; to be called before TensorFlow starts.

    Args:
        device: "auto" takes a card where TensorFlow can use one.
        deterministic: whether the same steps shall give the same bits on a card too; they always do on a processor.

    Raises:
        ConfigError: if there is no such choice, or this process has already settled on another one.

    Example:
        want("gpu")
    """
    if device not in get_args(Device):
        raise ConfigError(
            f"--device {device}: there is no such choice.", f"Choose one of {', '.join(get_args(Device))}."
        )
    if not _Process.started:
        _Process.wanted, _Process.deterministic = device, deterministic
        return
    if device == "gpu" and _Process.card is None:
        raise _no_card(hidden=_Process.wanted == "cpu")
    if device == "cpu" and _Process.card:
        raise ConfigError(f"TensorFlow computes on {_Process.card.name} in this process.", "Restart it.")
    if deterministic and _Process.card and not _Process.deterministic:
        raise ConfigError("TensorFlow has started without deterministic operations in this process.", "Restart it.")


def card() -> Card | None:
    """Return the card that this process computes on; None before TensorFlow has started, and where there is none."""
    return _Process.card


def deterministic() -> bool:
    """Tell whether a card is to give the same bits for the same steps."""
    return _Process.deterministic


def described() -> str:
    """Name the device and what its arithmetic depends on, for the versions of a run.

    Example:
        >>> described()
        'CPU'
    """
    found = card()
    return f"{found.name}{', deterministic' * deterministic()}" if found else PROCESSOR


def start(tensorflow: Any) -> None:
    """Settle on a device, as the first that TensorFlow is asked.

    Args:
        tensorflow: the module, which has not computed anything yet.

    Raises:
        ConfigError: if a card was asked for and there is none.
    """
    config = tensorflow.config
    # Of Apple's and other makers' plug-ins nothing is known here.
    cards = config.list_physical_devices("GPU") if tensorflow.test.is_built_with_cuda() else []
    found = cards[:1] if _Process.wanted != "cpu" else []
    if not found and _Process.wanted == "gpu":
        raise _no_card()
    if not found and _Process.wanted == "auto" and is_there():
        console.warn(f"TensorFlow cannot use this machine's NVIDIA GPU, so the CPU computes. {INSTALL}")
    with suppress(RuntimeError):  # in a notebook, somebody may have used TensorFlow before
        config.set_visible_devices(found, "GPU")
        for each in found:
            config.experimental.set_memory_growth(each, True)  # or no second process could use it
    if found:
        # Or float32 would be rounded to ten bits in every convolution. Who wants that has the faster bfloat16.
        config.experimental.enable_tensor_float_32_execution(False)
        if _Process.deterministic:
            config.experimental.enable_op_determinism()
        _Process.card = _known(tensorflow, found[0])
    _Process.started = True


def _known(tensorflow: Any, device: Any) -> Card:
    name = tensorflow.config.experimental.get_device_details(device).get("device_name", "a GPU")
    built = tensorflow.sysconfig.get_build_info()
    return Card(name, software=f"CUDA {built.get('cuda_version')}, cuDNN {built.get('cudnn_version')}")


def _no_card(*, hidden: bool = False) -> ConfigError:
    if hidden:
        return ConfigError("TensorFlow has started on the CPU in this process.", "Restart it.")
    if is_there():
        return ConfigError("--device gpu: TensorFlow cannot use this machine's NVIDIA GPU.", INSTALL)
    fix = "Leave --device out." if sys.platform == "linux" else "TensorFlow needs Linux, or WSL2 on Windows, for that."
    return ConfigError("--device gpu: there is no NVIDIA GPU here.", fix)


def is_there(root: Path = Path("/")) -> bool:
    """Tell whether the machine has a card of NVIDIA's with its driver, whatever TensorFlow makes of it.

    Args:
        root: where the files are that Linux, or Linux on Windows, tells it in.

    Example:
        >>> is_there()
        False
    """
    return any((root / "proc/driver/nvidia/gpus").glob("*")) or (root / "usr/lib/wsl/lib/libcuda.so.1").exists()


def memory() -> int | None:
    """Return the bytes of memory that the card has in all, None where that cannot be told."""
    asked = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    with suppress(OSError, ValueError, IndexError, subprocess.SubprocessError):
        answer = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=20).stdout
        return int(answer.splitlines()[0]) * 2**20
    return None
