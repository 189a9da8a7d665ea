"""Ctrl-C, SIGTERM and the end of a terminal, as a request that work answers at the next safe moment."""

import signal
import threading
from types import FrameType, TracebackType

from evacli import console

# Windows has no SIGHUP.
HANDLED = tuple(signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class StopRequest:
    """While entered, the first signal is only noted in `signum`; the second one ends the process at once.

    Signals keep their effect where they are ignored, as by `nohup`, and outside the main thread, where Python allows no
    handlers.
    """

    def __init__(self) -> None:
        self.signum: int | None = None

    def __enter__(self) -> "StopRequest":
        self._previous = {}
        if threading.current_thread() is threading.main_thread():
            heeded = [s for s in HANDLED if signal.getsignal(s) is not signal.SIG_IGN]
            self._previous = {s: signal.signal(s, self._note) for s in heeded}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for signum, handler in self._previous.items():
            signal.signal(signum, handler)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        self.signum = signum
        # Python's own handlers wait for the running operation to return; the system's default does not. This signal's
        # own handler goes last: who sees it gone can count on the others being gone too.
        for heeded in sorted(self._previous, key=lambda heeded: heeded == signum):
            signal.signal(heeded, signal.SIG_DFL)
        console.show_cursor()
