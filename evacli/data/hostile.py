"""Reading bytes that strangers wrote: whatever goes wrong becomes one line."""

from collections.abc import Iterator
from contextlib import contextmanager

from evacli.errors import DataError, EvacliError
from evacli.messages import short

# Of the formats read as a whole, the largest is CIFAR-100's archive: it unpacks to 186 MB.
MAX_BYTES = 512 * 2**20


@contextmanager
def reading(what: object, fix: str = "") -> Iterator[None]:
    """Turn every error of the block into one DataError that names `what`.

    Raises:
        DataError: for whatever the block ran into, unless that was an EvacliError already.
    """
    try:
        yield
    except EvacliError:
        raise
    # On hostile bytes, decoders raise whatever their code runs into, MemoryError and RecursionError included.
    except Exception as e:
        raise DataError(f"Cannot read {what}: {reason(e)}.", fix) from e


def reason(error: BaseException) -> str:
    """Return what went wrong, in one short line without a full stop."""
    if isinstance(error, MemoryError):
        return "it needs more memory than there is"
    if isinstance(error, RecursionError):
        return "its parts are nested, or refer to each other, too deeply"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    line = short(error) or type(error).__name__
    line = f"no entry {line}" if isinstance(error, KeyError) else line
    return line.rstrip(".")
