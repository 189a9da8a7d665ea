"""The line that a process has no time for: where memory is limited, TensorFlow's C++ may crash instead of raising."""

import faulthandler
import os
import signal

from evacli import console, memory

# How Python's fault handler begins, and what it says next.
_BEGINS = "Fatal Python error: "


def leave_to_another() -> None:
    """Let a small process, of which nobody else takes notice, say in one line that this one has crashed.

    It does so where `ulimit -v` or `ulimit -d` holds. This process stays what it was: the one that has the signals,
    the terminal, the locks and the exit code. All that is new is a pipe into which Python's fault handler writes while
    the process dies, and somebody who reads from it.
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
    for descriptor in (end, 0, 1):  # else the reader of the results would wait for this process
        os.close(descriptor)
    with open(begin, errors="replace") as pipe:
        said = pipe.read()
    if said.startswith(_BEGINS):
        kind = said.removeprefix(_BEGINS).split("\n", 1)[0]
        if os.environ.get("EVACLI_DEBUG") == "1":
            os.write(2, said.encode(errors="replace"))
        console.fail(
            f"TensorFlow crashed ({kind}), as it does where it gets no memory; ulimit allows {limit / 2**30:.1f} GB. "
            "What was saved is whole.",
            "Raise that limit, or use a smaller --batch-size, smaller images or a smaller network.",
        )
    os._exit(0)
