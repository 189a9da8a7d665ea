"""stdout and stderr that may be full, closed or given up by their reader.

A result that cannot be written is an error, in one line. What is told beside the results is never worth the work that
it tells of: a stderr that cannot be written to is given up.
"""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from evacli.errors import EvacliError


def occupy() -> None:
    """Give each closed one of the descriptors 0 to 2 a place holder, to which nothing can be written.

    Otherwise the next file that is opened would get its number, and with it what libraries print.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDONLY)  # it gets the lowest number that is free


def check_stdout() -> None:
    """Make `sys.stdout` raise an `EvacliError` where it cannot be written to; it may be None, if it is closed."""
    stream = sys.stdout
    if stream is None or isinstance(stream, io.TextIOWrapper):
        buffer = open(1, "wb", closefd=False) if stream is None else stream.buffer  # noqa: SIM115 - for all to come
        encoding = "utf-8" if stream is None else stream.encoding
        buffering = stream is not None and stream.line_buffering
        # Like stderr: no character is worth a traceback.
        sys.stdout = _Stdout(buffer, encoding, "backslashreplace", line_buffering=buffering)


class _Stdout(io.TextIOWrapper):
    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError as e:
            raise self._lost(e) from e

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as e:
            raise self._lost(e) from e

    def _lost(self, error: OSError) -> EvacliError:
        _give_up(self)
        return EvacliError(f"The results cannot be written to stdout: {error.strerror}.")


class Stderr(io.TextIOBase):
    """What is `sys.stderr` at the moment, as long as it can be written to.

    Example:
        Console(file=Stderr())
    """

    @property
    def _stream(self) -> TextIO | None:
        if _ours:
            return _ours[-1]
        # While rich shows a live display, sys.stderr leads back to it.
        stream: TextIO | None = getattr(sys.stderr, "rich_proxied_file", sys.stderr)
        return None if stream is None or stream.closed else stream

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """That of the stream."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        """Tell whether a person watches."""
        return self._stream is not None and self._stream.isatty()

    def fileno(self) -> int:
        """Return the descriptor.

        Raises:
            OSError: if there is none.
        """
        return -1 if self._stream is None else self._stream.fileno()

    def write(self, text: str) -> int:
        """Write if that can be done."""
        if stream := self._stream:
            try:
                stream.write(text)
            except OSError:
                _give_up(stream)
        return len(text)

    def flush(self) -> None:
        """Write out what is held back, if that can be done."""
        if stream := self._stream:
            try:
                stream.flush()
            except OSError:
                _give_up(stream)


_ours: list[TextIO] = []


@contextmanager
def only_ours() -> Iterator[None]:
    """Send what is written to file descriptor 2 nowhere, but for what comes through `Stderr`."""
    try:
        kept = os.dup(2)
    except OSError:  # the process has no stderr
        yield
        return
    Stderr().flush()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        with open(kept, "w", buffering=1, encoding=Stderr().encoding, errors="backslashreplace", closefd=False) as ours:
            if sys.stderr is sys.__stderr__:  # else it is a notebook's, or such, and is left alone
                _ours.append(ours)
            os.dup2(nowhere, 2)
            yield
    finally:
        _ours.clear()
        os.dup2(kept, 2)
        os.close(nowhere)
        os.close(kept)


def _give_up(stream: TextIO) -> None:
    # What it still holds, and what anybody writes to the descriptor from now on, goes nowhere, without a word.
    with suppress(OSError, ValueError):  # a stream without a descriptor
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, stream.fileno())
        finally:
            os.close(nowhere)
