"""TensorFlow and Keras, imported without the lines that TensorFlow's C++ side writes to stderr while it loads.

Its log level is obeyed only after the log system is up; what comes before can only be kept from the file descriptor.
"""

import os
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
