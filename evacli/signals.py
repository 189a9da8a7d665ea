"""Ctrl-C and SIGTERM as a request that work answers at the next safe moment."""

import signal
import threading
from types import FrameType, TracebackType

from evacli import console

HANDLED = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """While entered, the first signal is only noted in `signum`; the second one ends the process at once.

    Outside the main thread, where Python allows no handlers, signals keep their usual effect.
    """

    def __init__(self) -> None:
        self.signum: int | None = None

    def __enter__(self) -> "StopRequest":
        self._previous = {}
        if threading.current_thread() is threading.main_thread():
            self._previous = {s: signal.signal(s, self._note) for s in HANDLED}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for signum, handler in self._previous.items():
            signal.signal(signum, handler)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        self.signum = signum
        # Python's own handlers wait for the running operation to return; the system's default does not.
        for handled in HANDLED:
            signal.signal(handled, signal.SIG_DFL)
        console.show_cursor()
