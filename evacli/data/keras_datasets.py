"""The data sets that Keras downloads."""

import gzip
import socket
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evacli import console
from evacli.backend import keras
from evacli.data.arrays import indices, rgb
from evacli.data.hostile import reason
from evacli.data.images import InMemory
from evacli.data.types import Split
from evacli.errors import DataError

PATIENCE = 30  # seconds without an answer from the server


def read(name: str) -> tuple[Split, Split]:
    """Load the splits of a data set of `keras.datasets`, downloading it at the first use.

    Raises:
        DataError: if it cannot be downloaded or the download is damaged; it names the ways on.
    """
    try:
        with _own_progress_bar(f"downloading {name} (MB)"):
            train, test = getattr(keras.datasets, name).load_data()
    except (EOFError, gzip.BadGzipFile, zlib.error) as e:
        raise DataError(
            f"The download of {name} in ~/.keras/datasets is damaged: {reason(e)}.", "Delete it, and try again."
        ) from e
    # Keras itself raises a bare Exception for a failed download.
    except Exception as e:
        raise DataError(
            f"Cannot download {name}: {reason(e)}.",
            "Give files you have with --data PATH, or take --dataset digits, which needs no network.",
        ) from e
    return _split(*train), _split(*test)


def _split(images: NDArray[np.uint8], labels: NDArray[np.integer]) -> Split:
    return Split(InMemory(rgb(images)), labels.reshape(-1).astype(np.int64), indices(len(images)))


@contextmanager
def _own_progress_bar(description: str) -> Iterator[None]:
    """Show what keras downloads on our console instead of on stdout."""
    talkative, timeout = keras.config.is_interactive_logging_enabled(), socket.getdefaulttimeout()
    theirs = keras.utils.Progbar.update
    with console.progress_bars() as bars:
        task = bars.add_task(description, total=None)

        def ours(progbar: Any, current: int, *_: object, **__: object) -> None:
            total = progbar.target and progbar.target / 1e6
            bars.update(task, completed=current / 1e6, total=total)

        try:
            keras.config.disable_interactive_logging()
            keras.utils.Progbar.update = ours
            socket.setdefaulttimeout(PATIENCE)
            yield
        finally:
            socket.setdefaulttimeout(timeout)
            keras.utils.Progbar.update = theirs
            if talkative:
                keras.config.enable_interactive_logging()
