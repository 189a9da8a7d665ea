"""Every plot: arrays in, figures out.

Before any of them matplotlib is imported here, since a user's settings may keep it from being imported at all: a
notebook passes the name of its backend on to what it starts, where nobody knows that backend.
"""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock


@contextmanager
def _quiet() -> Iterator[None]:
    # Remarks on lines of a matplotlibrc, none of which is obeyed here.
    log = logging.getLogger("matplotlib")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(level)


with _quiet():
    try:
        import matplotlib
    except Exception:  # whatever it makes of the user's settings; once more without them
        for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
            del sys.modules[name]  # halves of it
        with mock.patch.dict(os.environ, {"MATPLOTLIBRC": os.devnull, "MPLBACKEND": ""}):
            import matplotlib

__all__ = ["matplotlib"]
