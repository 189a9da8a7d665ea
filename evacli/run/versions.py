"""What else the bits of a result depend on."""

import os
import platform
import re
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from evacli import console, devices
from evacli.version import __version__

_PACKAGES = ("keras", "tensorflow", "numpy")

# What libraries choose their kernels by, as Linux spells it; others, such as `aes`, change no number.
_INSTRUCTIONS = re.compile(r"avx\w*|fma|f16c|amx\w+|asimd\w*|sve\w*|i8mm|bf16")
# Variables that switch kernels. By name, since others that begin with TF_ may be none of TensorFlow's, and secret.
_SWITCHES = re.compile(
    r"(ONEDNN|DNNL|TF_ONEDNN|TF_MKL|TF_XLA|XLA|MKL|OMP)_\w+|TF_NUM_INTEROP_THREADS|TF_DISABLE_MKL|TF_USE_\w+|TF_\w*DETERMINIS\w+"
)
_THREADS = "TF_NUM_INTRAOP_THREADS"
_MOST_THREADS = 1024


def versions() -> dict[str, str]:
    """Return versions of evacli and all that computes, the processor, and the settings that change rounding.

    Starts TensorFlow, which is what some of it is asked of.
    """
    return {
        "evacli": __version__,
        "python": platform.python_version(),
        **{package: version(package) for package in _PACKAGES},
        "machine": platform.machine(),
        "cores": str(os.cpu_count()),
        "TF_ENABLE_ONEDNN_OPTS": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1"),
        "threads": str(_threads()),
        **_device(),
        "usable cores": str(_usable_cores()),
        **_processor(),
        "switches": _switches(),
        "Keras settings": _keras_settings(),
    }


def differences(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return what has changed since the run began and may change its last digits, as a person reads it.

    What an earlier version of evacli did not note counts as the same. With as many threads, it does not matter how many
    cores there are for them.
    """
    known = {name for name in now if name in before}
    if "threads" in known:
        known -= {"cores", "usable cores"}
    return [
        f"{name} {before[name]} -> {value}" for name, value in now.items() if name in known and before[name] != value
    ]


def keep_threads(before: Mapping[str, str]) -> None:
    """Let TensorFlow, unless it has started already, compute with as many threads as when the run began.

    Sums are cut into a part for each thread, so their number changes the last digits.
    """
    wanted = before.get("threads", "")
    if re.fullmatch("[1-9][0-9]{0,3}", wanted) and int(wanted) <= _MOST_THREADS and "tensorflow" not in sys.modules:
        expected = os.environ.get(_THREADS) or str(_usable_cores())
        os.environ[_THREADS] = wanted
        if expected != wanted:
            console.note(f"TensorFlow computes with {wanted} threads, as when the run began, not with {expected}.")


def _threads() -> int:
    """Tell how many threads share an operation: as TensorFlow decides it."""
    from evacli.backend import tf

    set_by_user = tf.config.threading.get_intra_op_parallelism_threads()
    return int(set_by_user or _number(os.environ.get(_THREADS)) or _usable_cores())


def _device() -> dict[str, str]:
    found = devices.card()
    return {"device": devices.described()} | ({"card's libraries": found.software} if found else {})


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() else 0


def _usable_cores() -> int:
    # Which taskset or a container may have cut down; only Linux tells.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor() -> dict[str, str]:
    """Return its name, by which libraries look up the sizes of its caches, and what it can compute."""
    try:
        described = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").partition("\n\n")[0]
    except OSError:
        return {"processor": platform.processor()}
    of_first = dict(re.findall(r"(?m)^(.+?)\s*: (.*)$", described))
    known = str(of_first.get("flags") or of_first.get("Features")).split()
    name = of_first.get("model name") or " ".join(of_first.get(f"CPU {part}", "") for part in ("implementer", "part"))
    return {"processor": name, "instructions": " ".join(sorted(filter(_INSTRUCTIONS.fullmatch, known)))}


def _switches() -> str:
    found = sorted(name for name in os.environ if _SWITCHES.fullmatch(name) and not name.endswith("VERBOSE"))
    return " ".join(f"{name}={os.environ[name]}" for name in found) or "none"


def _keras_settings() -> str:
    from evacli.backend import moved

    return ", ".join(f"{name} {value}" for name, value in moved().items()) or "evacli's"
