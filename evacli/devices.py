"""What a process computes on: the processor, or a graphics card that TensorFlow can use, or several of either.

TensorFlow settles that once, as it starts. So it is said before, by `want`, and holds for the whole process; it is no
part of a run, which may go on on another device, or on more of them.
"""

import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from evacli import console
from evacli.errors import ConfigError
from evacli.formats import counted
from evacli.workers import Place, by_slurm

Device = Literal["auto", "cpu", "gpu"]
Number = int | Literal["all"]
MOST = 1024  # devices
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
    number: Number = 1
    there = 1  # devices that TensorFlow has started with
    place: Place | None = None
    strategy: Any = None


def want(
    device: Device = "auto", *, deterministic: bool = False, number: Number | None = None, place: Place | None = None
) -> None:
    """Say on what this process is to compute; to be called before TensorFlow starts.

    Args:
        device: "auto" takes a card where TensorFlow can use one.
        deterministic: whether the same steps shall give the same bits on a card too; they always do on a processor.
        number: of devices that share each batch; "all": of the cards there are; None: as was said before.
        place: of this process among several that share each batch; each computes on its processor, or on all its cards.

    Raises:
        ConfigError: if there is no such choice, or this process has already settled on another one.

    Example:
        want("gpu", number=2)
    """
    if place is not None:
        number = _want_place(place, number)
    if number is not None and _Process.strategy is None:
        _want_number(number)
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


def _want_place(place: Place, number: Number | None) -> Number:
    if number not in (1, "all", None):
        raise ConfigError(f"--devices {number}: with several processes, each takes all that it has.", "Leave it out.")
    if _Process.started and _Process.strategy is None:
        raise ConfigError("TensorFlow has started in this process.", "Start evacli train by itself.")
    _Process.place = place
    return "all"


def _want_number(number: Number) -> None:
    if number != "all" and not 1 <= number <= MOST:
        raise ConfigError(f"--devices {number}: there is no such number of devices.", f"Use 1 to {MOST}, or all.")
    if _Process.started and number != "all" and number > _Process.there:
        raise ConfigError(
            f"TensorFlow has started on {counted(_Process.there, 'device')} in this process.", "Restart it."
        )
    _Process.number = number


def place() -> Place | None:
    """Return the place of this process among those that share each batch, None where it trains alone."""
    return _Process.place


def strategy() -> Any:
    """Return TensorFlow's strategy of several processes, None where this one trains alone."""
    return _Process.strategy


def number() -> int:
    """Return how many devices share each batch of a training; 1 before TensorFlow has started."""
    return _Process.there if _Process.number == "all" else min(_Process.number, _Process.there)


def places() -> list[str]:
    """Return these devices as TensorFlow calls them.

    Example:
        >>> places()
        ['/CPU:0']
    """
    return [f"/{'GPU' if _Process.card else 'CPU'}:{index}" for index in range(number())]


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
    return several(f"{found.name}{', deterministic' * deterministic()}" if found else PROCESSOR)


def several(device: str) -> str:
    """Say of the name of a device how many of those share each batch, if it is not one alone.

    Example:
        >>> several("CPU")
        'CPU'
    """
    return f"{number()} x {device}" if number() > 1 else device


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
    found = _chosen(cards) if _Process.wanted != "cpu" else []
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
        _Process.there = len(found)
    elif _Process.number not in (1, "all"):
        _divide_processor(config, int(_Process.number))
    if _Process.place:
        _join(tensorflow)
    _Process.started = True


def _join(tensorflow: Any) -> None:
    """Meet the other processes, as the first that TensorFlow does."""
    distribute = tensorflow.distribute
    resolver = distribute.cluster_resolver.SlurmClusterResolver() if by_slurm() else None
    _Process.strategy = distribute.MultiWorkerMirroredStrategy(resolver)
    _Process.there = _Process.strategy.num_replicas_in_sync


def _chosen(cards: list[Any]) -> list[Any]:
    if _Process.number != "all" and cards and _Process.number > len(cards):
        raise ConfigError(f"--devices {_Process.number}: TensorFlow can use {counted(len(cards), 'GPU')} here.")
    return cards if _Process.number == "all" else cards[: _Process.number]


def _divide_processor(config: Any, number: int) -> None:
    """Let TensorFlow take the processor for several devices, which share its cores: to try what several devices do."""
    parts = [config.LogicalDeviceConfiguration()] * number
    try:
        config.set_logical_device_configuration(config.list_physical_devices("CPU")[0], parts)
    except RuntimeError as e:  # in a notebook, somebody has used TensorFlow before
        raise ConfigError(f"--devices {number}: TensorFlow has started in this process.", "Restart it.") from e
    _Process.there = number


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
