"""Keras' downloads, on our console."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from evacli import console
from evacli.backend import keras

PATIENCE = 30  # seconds without an answer from the server


@contextmanager
def own_progress_bar(description: str) -> Iterator[None]:
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
