"""TensorFlow and Keras, set up for speed on a CPU and imported without noise.

What TensorFlow's C++ side writes to stderr while it loads can only be kept from the file descriptor: its log level is
obeyed only after the log system is up.
"""

import ctypes
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from evacli import console


@contextmanager
def _no_native_stderr() -> Iterator[None]:
    """Sends what is written to file descriptor 2 nowhere."""
    try:
        kept = os.dup(2)
    except OSError:  # the process has no stderr
        yield
        return
    sys.stderr.flush()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(nowhere)
        os.close(kept)


def _keep_memory() -> None:
    """Lets freed memory stay with the process, to be used by the next step.

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
with console.status("Starting TensorFlow"), _no_native_stderr():
    import tensorflow as tf

    # The first operation starts the devices, which has lines of its own.
    tf.constant(0)
    import keras

# Several models in one process, as in a notebook, are no reason to warn of functions traced anew.
tf.get_logger().setLevel("ERROR")

__all__ = ["keras", "tf"]
