"""`python -m evacli`, and the `evacli` command."""

import os
import signal
from types import FrameType

from evacli import streams


def main() -> None:
    """Runs the command line."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # nohup and the like have it ignored
        signal.signal(signal.SIGINT, _leave)
    streams.occupy()
    streams.check_stdout()
    from evacli.cli import app

    app(prog_name="evacli")


def _leave(signum: int, frame: FrameType | None) -> None:
    """Ends the process: until a training heeds signals itself, there is nothing to save.

    Not by KeyboardInterrupt, which gets lost where a library catches whatever comes while it is imported or traces a
    graph; the command would then go on as if nobody had pressed Ctrl-C.
    """
    if os.isatty(2):
        os.write(2, b"\x1b[?25h\n")  # the cursor, which a progress display hides
    os._exit(128 + signum)


if __name__ == "__main__":
    main()
