"""One training per run directory."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from filelock import FileLock, Timeout

from evacli.errors import RunBusy
from evacli.rundir import RunDir


@contextmanager
def exclusive(run: RunDir) -> Iterator[None]:
    """Holds the run for this process; the operating system lets go of it however the process ends.

    Raises:
        RunBusy: if another process holds it, naming that process.
    """
    run.create()
    owner = run.lock.with_suffix(".pid")
    lock = FileLock(run.lock)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        with suppress(OSError):
            pid = owner.read_text(encoding="ascii", errors="replace")
        raise RunBusy(
            f"{run.path} is in use by process {pid}.", "Wait for it, stop it, or name another --run."
        ) from None
    try:
        owner.write_text(str(os.getpid()), encoding="ascii")
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()
