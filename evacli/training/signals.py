"""Ctrl-C, SIGTERM and the end of a terminal, as a request that work answers at the next safe moment."""

import os
import signal
import threading
from contextlib import suppress
from types import FrameType, TracebackType

from evacli import console

# Windows has no SIGHUP.
HANDLED = tuple(signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
# What Ctrl-C is answered at once. Programs, which send the other signals, and a terminal that is gone read nothing.
ANSWER = b"finishing this step; press again to leave now\n"


class StopRequest:
    """While entered, the first signal is only noted in `signum`; the second one ends the process at once.

    Python calls handlers once the running operation has returned, and a step is one operation, of many seconds at
    times. So a thread beside it, which is told of a signal as soon as that comes, answers Ctrl-C and heeds the second
    signal; whichever of the two is first.

    Signals keep their effect where they are ignored, as by `nohup`, and outside the main thread, where Python allows no
    handlers.
    """

    def __init__(self) -> None:
        self.signum: int | None = None
        self._answered = threading.Lock()

    def __enter__(self) -> "StopRequest":
        self._previous = {}
        if threading.current_thread() is threading.main_thread():
            heeded = [s for s in HANDLED if signal.getsignal(s) is not signal.SIG_IGN]
            if heeded:
                self._listen()
            self._previous = {s: signal.signal(s, self._note) for s in heeded}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for signum, handler in self._previous.items():
            signal.signal(signum, handler)
        if self._previous:
            signal.set_wakeup_fd(self._before)
            os.close(self._end)  # which ends the thread

    def _listen(self) -> None:
        begin, self._end = os.pipe()
        os.set_blocking(self._end, False)
        self._before = signal.set_wakeup_fd(self._end, warn_on_full_buffer=False)
        threading.Thread(target=self._hear, args=(begin,), daemon=True).start()

    def _hear(self, begin: int) -> None:
        heard = 0
        with open(begin, "rb", buffering=0) as signals:
            while number := signals.read(1):
                if number[0] in HANDLED:
                    heard += 1
                    self._answer(number[0])
                if heard > 1:  # the handler has not run yet, which is what makes a second signal end the process
                    console.show_cursor()
                    os._exit(128 + number[0])

    def _answer(self, signum: int) -> None:
        if self._answered.acquire(blocking=False) and signum == signal.SIGINT:
            with suppress(OSError):  # a stderr that is closed
                os.write(2, ANSWER)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        self.signum = signum
        self._answer(signum)
        # Python's own handlers wait for the running operation to return; the system's default does not. This signal's
        # own handler goes last: who sees it gone can count on the others being gone too.
        for heeded in sorted(self._previous, key=lambda heeded: heeded == signum):
            signal.signal(heeded, signal.SIG_DFL)
        console.show_cursor()
