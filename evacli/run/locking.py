"""One training per run directory."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from filelock import FileLock, Timeout

from evacli.errors import RunBusy, RunError
from evacli.run.directory import RunDir, write_text_atomically


@contextmanager
def exclusive(run: RunDir) -> Iterator[None]:
    """Holds the run for this process; the operating system lets go of it however the process ends.

    Raises:
        RunBusy: if another process holds it, naming that process.
        RunError: if the directory cannot be written to.
    """
    run.create()
    lock = FileLock(run.lock)
    _acquire(lock, run)
    try:
        write_text_atomically(run.lock_owner, str(os.getpid()))
        yield
    finally:
        with suppress(OSError):
            run.lock_owner.unlink(missing_ok=True)
        lock.release()


def refuse_if_busy(run: RunDir) -> None:
    """Raises RunBusy if another process holds the run: sooner than `exclusive`, and writes nothing for a new run."""
    if run.lock.exists():
        lock = FileLock(run.lock)
        _acquire(lock, run)
        lock.release()


def _acquire(lock: FileLock, run: RunDir) -> None:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise RunBusy(
            f"{run.path} is in use by {_owner(run)}.", "Wait for it, stop it, or name another --run."
        ) from None
    except OSError as e:
        raise RunError(f"Cannot lock {run.lock}: {e.strerror or e}.", "Fix the path or name another --run.") from e


def _owner(run: RunDir) -> str:
    try:
        return f"process {int(run.lock_owner.read_bytes()[:20])}"
    except (OSError, ValueError):  # it has only just begun
        return "another process"
