"""One training per run directory, and one command at a time that writes what is concluded from it."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial

from filelock import FileLock, Timeout

from evacli import console
from evacli.errors import RunBusy, RunError
from evacli.run import gradcam_files
from evacli.run.directory import RunDir, cleaning, remove_leftovers, unlink, write_text_atomically

_READ_ONLY = errno.EROFS, errno.EACCES, errno.EPERM


@contextmanager
def exclusive(run: RunDir) -> Iterator[None]:
    """Hold the run for this process; the operating system lets go of it however the process ends.

    A directory that was made for that and in which nothing was written is removed again.

    Raises:
        RunBusy: if another process holds it, naming that process.
        RunError: if the directory cannot be written to.
    """
    made = not run.path.exists()
    run.create()
    lock = FileLock(run.lock)
    _acquire(lock, run)
    try:
        with cleaning(partial(_leave, run, made)):
            remove_leftovers(*run.of_training)
            write_text_atomically(run.lock_owner, str(os.getpid()))
            yield
    finally:
        lock.release()


def _leave(run: RunDir, made: bool) -> None:
    unlink(run.lock_owner)
    with suppress(OSError):
        if made and [path.name for path in run.path.iterdir()] == [run.lock.name]:
            run.lock.unlink()
            run.path.rmdir()


@contextmanager
def drawing(run: RunDir) -> Iterator[None]:
    """Hold what `report` and `gradcam` write, once it is this process's turn; a training may go on meanwhile.

    Raises:
        RunError: if the directory cannot be written to.
    """
    lock = FileLock(run.drawing_lock)
    try:
        _acquire(lock, run)
    except RunBusy:
        console.note(f"Waiting until another command has written into {run.path}.")
        lock.acquire()
    try:
        remove_leftovers(*run.of_drawing)
        gradcam_files.remove_leftovers(run)
        yield
    finally:
        lock.release()


def refuse_if_busy(run: RunDir) -> None:
    """Raise RunBusy if another process holds the run: sooner than `exclusive`, and write nothing for a new run."""
    if run.lock.exists():
        lock = FileLock(run.lock)
        try:
            _acquire(lock, run)
        except RunError as e:
            if getattr(e.__cause__, "errno", None) not in _READ_ONLY:
                raise  # what only reads the run goes on; what is to write is refused when it begins to
        lock.release()


def _acquire(lock: FileLock, run: RunDir) -> None:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise RunBusy(
            f"{run.path} is in use by {_owner(run)}.", "Wait for it, stop it, or name another --run."
        ) from None
    except OSError as e:
        if e.errno in _READ_ONLY:
            raise RunError(
                f"{run.path} cannot be written to: {e.strerror}.", "Copy it to where you may write, or name that --run."
            ) from e
        raise RunError(
            f"Cannot lock {lock.lock_file}: {e.strerror or e}.", "Fix the path or name another --run."
        ) from e


def _owner(run: RunDir) -> str:
    try:
        return f"process {int(run.lock_owner.read_bytes()[:20])}"
    except (OSError, ValueError):  # it has only just begun
        return "another process"
