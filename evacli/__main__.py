"""`python -m evacli`, and the `evacli` command."""

import os
import signal
import sys
from contextlib import suppress
from types import FrameType

from evacli import streams


def main() -> None:
    """Run the command line."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # Windows has no SIGHUP
        signum = getattr(signal, name, None)
        if signum and signal.getsignal(signum) is not signal.SIG_IGN:  # as nohup and the like have it
            signal.signal(signum, _leave)
    streams.occupy()
    streams.check_stdout()
    from evacli import last_words

    last_words.leave_to_another()
    from evacli.cli import app

    app(prog_name="evacli")


def _leave(signum: int, frame: FrameType | None) -> None:
    """End the process, its temporary files removed: unless a training heeds signals, there is nothing to save.

    Not by KeyboardInterrupt, which gets lost where a library catches whatever comes while it is imported or traces a
    graph; the command would then go on as if nobody had pressed Ctrl-C.
    """
    if directory := sys.modules.get("evacli.run.directory"):  # if it has come so far
        directory.clean_up()
    cause = "Ctrl-C" if signum == signal.SIGINT else signal.Signals(signum).name
    with suppress(OSError):
        # On a terminal the cursor, which a progress display hides, and the end of what that has drawn.
        begun = b"\x1b[?25h\r\x1b[K" if os.isatty(2) else b""
        os.write(2, b"%sstopped: %s; no file is half written.\n" % (begun, cause.encode()))
    os._exit(128 + signum)


if __name__ == "__main__":
    main()
