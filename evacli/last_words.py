"""The line that a process has no time for: where memory is limited, TensorFlow's C++ may crash instead of raising."""

import faulthandler
import os
import signal
from contextlib import suppress

from evacli import console, memory

# How Python's fault handler begins, and what it says next.
_BEGINS = "Fatal Python error: "
_PAGE = 4096


def leave_to_another() -> None:
    """Where `ulimit -v` or `ulimit -d` holds, let another small process say in one line that this one has crashed.

    This process stays what it was: the one that has the signals, the terminal, the locks and the exit code. All that is
    new is a pipe into which Python's fault handler writes while it dies, and somebody who reads from that.
    """
    if (limit := memory.limit()) is None:
        return
    begin, end = os.pipe()
    if os.fork():
        os.close(begin)
        faulthandler.enable(end)
        return
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGTSTP):  # they are meant for the other one
        signal.signal(signum, signal.SIG_IGN)
    for descriptor in (end, 0, 1):  # else who reads the results would wait for this process
        os.close(descriptor)
    _listen(begin, limit)
    os._exit(0)


def _listen(begin: int, limit: int) -> None:
    with suppress(ImportError, AttributeError, OSError):
        import fcntl

        # It holds less than is written, so that the line comes before the process is gone and a shell has its prompt.
        fcntl.fcntl(begin, fcntl.F_SETPIPE_SZ, _PAGE)
    with open(begin, "rb", buffering=0) as pipe:
        said = pipe.readline().decode(errors="replace")
        if said.startswith(_BEGINS):
            console.fail(
                f"TensorFlow crashed ({said.removeprefix(_BEGINS).strip()}), as it does where it gets no memory; "
                f"ulimit allows {limit / 2**30:.1f} GB. What was saved is whole.",
                "Raise that limit, or use a smaller --batch-size, smaller images or a smaller network.",
            )
        rest = pipe.read()
    if os.environ.get("EVACLI_DEBUG") == "1":
        os.write(2, rest)
