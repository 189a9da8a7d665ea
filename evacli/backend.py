"""TensorFlow and Keras, set up for speed, imported without noise, and the same whoever the user is.

What TensorFlow's C++ side writes to stderr while it loads can only be kept from the file descriptor: its log level is
obeyed only after the log system is up.
"""

import ctypes
import io
import logging
import os
import platform
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

from evacli import console, devices, memory
from evacli.errors import ConfigError
from evacli.streams import only_ours


@contextmanager
def hushed() -> Iterator[None]:
    """Keep from the console what Python libraries say in a block: what they print and log, and their warnings."""
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


@contextmanager
def silenced() -> Iterator[None]:
    """Keep from the console what any library says in a block; a progress display stands still meanwhile.

    Example:
        with silenced():
            tf.lite.TFLiteConverter.from_saved_model("folder").convert()
    """
    with hushed(), only_ours():
        yield


def _keep_memory() -> None:
    """Let freed memory stay with the process, to be used by the next step.

    glibc's malloc hands large blocks back to the system, which then clears their pages anew for every tensor: a tenth
    of a step and more. Other C libraries do not have these options.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    set_option = ctypes.CDLL(None).mallopt
    trim_threshold, mmap_threshold, mmap_max, arena_max = -1, -3, -4, -8
    set_option(trim_threshold, 2**31 - 1)
    set_option(mmap_threshold, 2**31 - 1)
    set_option(mmap_max, 0)
    # The arenas of other threads consist of small mapped heaps and would map large blocks nevertheless.
    set_option(arena_max, 1)


_keep_memory()
if platform.machine() in ("x86_64", "AMD64"):
    # TensorFlow uses these kernels by itself only on newer processors. On an AMD Zen 3 without AVX-512 a step of eva
    # took 0.69 s without them and 0.43 s with them.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["KERAS_NNX_ENABLED"] = "false"  # of JAX; Keras fails where keras.json asks for it
if "tensorflow" not in sys.modules:
    memory.require_start()
with console.status("Starting TensorFlow"), only_ours():
    try:
        import tensorflow as tf

        devices.start(tf)
        # The first operation starts the devices, which has lines of its own.
        tf.constant(0)
        import keras
    except (AssertionError, AttributeError, OSError, TypeError, ValueError) as e:  # each of them reads keras.json
        raise ConfigError(
            f"Keras does not start: {type(e).__name__}{f': {e}'.splitlines()[0] if str(e) else ''}.",
            "Mend or remove keras.json, in $KERAS_HOME or ~/.keras, and the variables KERAS_*.",
        ) from e
if keras.config.backend() != "tensorflow":  # imported before evacli, as in a notebook
    raise ConfigError(
        f"Keras runs on {keras.config.backend()} in this process; evacli needs TensorFlow.",
        "Restart it, with KERAS_BACKEND=tensorflow.",
    )

# Several models in one process, as in a notebook, are no reason to warn of functions traced anew.
tf.get_logger().setLevel("ERROR")

# What a run depends on and a user's keras.json, variables or code may say otherwise: settings of `keras.config`.
_SETTINGS: dict[str, Any] = {
    "floatx": "float32",
    "dtype_policy": "float32",
    "epsilon": 1e-7,
    "image_data_format": "channels_last",
    "max_epochs": None,
    "max_steps_per_epoch": None,
}


def _current() -> dict[str, Any]:
    # Read before anything is set: the dtype policy follows floatx as long as nobody has chosen one.
    found = {name: getattr(keras.config, name)() for name in _SETTINGS}
    return found | {"dtype_policy": found["dtype_policy"].name}


def _set(settings: dict[str, Any]) -> None:
    for name, value in settings.items():
        getattr(keras.config, f"set_{name}")(value)


def moved() -> dict[str, Any]:
    """Return the settings of Keras that are not what evacli needs, with their values; none where all is well."""
    return {name: value for name, value in _current().items() if value != _SETTINGS[name]}


@contextmanager
def pinned() -> Iterator[None]:
    """Set what a run depends on for the time of a block, and put back what was there before, whatever the block did.

    Example:
        with pinned():
            run_a_strangers_code()
            print(moved())  # what it has set
    """
    before = _current()
    _set(_SETTINGS)
    try:
        yield
    finally:
        _set(before)


_set(_SETTINGS)

__all__ = ["hushed", "keras", "moved", "pinned", "silenced", "tf"]
