"""How much memory there is: of the machine, of the container, and what the process may have."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from evacli import console
from evacli.errors import MemoryShort

# An estimate may be wrong by this factor; below it a user is warned, and may try.
DOUBT = 1.5
# What TensorFlow takes of the addresses that `ulimit -v` counts, until it has started; with less, it crashes.
STARTING = 2.2 * 2**30
MORE = "Close other programs, or raise the limit: ulimit -v."
# How libraries say that they got no memory: TensorFlow, oneDNN (whose status 1 that is), C++, and the system.
_SAYINGS = re.compile(
    r"OOM when allocating|failed to allocate|bad_alloc|Operation received an exception: ?Status: 1,"
    r"|cannot allocate memory|can't start new thread|failed to map segment",
    re.IGNORECASE,
)


def available(root: Path = Path("/")) -> int | None:
    """Return how many bytes this process can still take, None where the system does not tell.

    Args:
        root: where the files are that Linux tells it in.

    Example:
        >>> available() > 0
        True
    """
    left = (most - taken for most, taken in _limits(root))
    return max(0, min(found)) if (found := [*_machine(root), *_groups(root), *left]) else None


def limit() -> int | None:
    """Return how many bytes `ulimit -v` or `ulimit -d` lets this process have, None if any number.

    Example:
        >>> limit() is None
        True
    """
    return min((most for most, _ in _limits(Path("/"))), default=None)


def require(needed: float, what: str, fix: str, doubt: float = DOUBT) -> None:
    """Make sure that there is enough memory; where an estimate leaves that open, warn.

    Args:
        needed: bytes.
        what: needs them: the subject of a sentence.
        fix: what to do where they are not there.
        doubt: by which factor `needed` may be too high.

    Raises:
        MemoryShort: if there is clearly too little.
    """
    free = available()
    if free is None or needed <= free:
        return
    told = f"{what} about {needed / 2**30:.1f} GB of memory; {free / 2**30:.1f} GB are free."
    if needed > doubt * free:
        raise MemoryShort(told, fix)
    console.warn(f"{told} {fix}")


def require_start() -> None:
    """Make sure that `ulimit -v` lets TensorFlow start.

    Raises:
        MemoryShort: if it does not.
    """
    free = min((most - taken for most, taken in _limits(Path("/"), ("AS",))), default=STARTING)
    if free < STARTING:
        raise MemoryShort(
            f"TensorFlow takes about {STARTING / 2**30:.1f} GB of addresses; ulimit -v leaves {free / 2**30:.1f} GB.",
            "Raise that limit.",
        )


def lighter(batch_size: int | Literal["full"]) -> str:
    """Return what takes less memory than batches of that size, for a message.

    Example:
        >>> lighter(128)
        'Use --batch-size 64, smaller images or a smaller network.'
    """
    half = f"--batch-size {batch_size // 2}, " if isinstance(batch_size, int) and batch_size > 1 else ""
    return f"Use {half}smaller images or a smaller network."


@contextmanager
def heeding(what: str, fix: str) -> Iterator[None]:
    """Turn what libraries raise in a block where memory ends into one error.

    Args:
        what: the block does, as a verb: "train in batches of 128".
        fix: what to do then.

    Raises:
        MemoryShort: in that case.

    Example:
        with heeding("train", "Use a smaller network."):
            network.fit(images)
    """
    try:
        yield
    except Exception as e:
        if is_short(e) and not isinstance(e, MemoryShort):
            raise MemoryShort(f"There is not enough memory to {what}.", fix) from e
        raise


def is_short(error: BaseException | None) -> bool:
    """Tell whether an error, or what it came from, says that there was no memory."""
    while error is not None:
        named = isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError"  # TensorFlow's
        if named or _SAYINGS.search(str(error)):
            return True
        error = error.__cause__
    return False


def _machine(root: Path) -> Iterator[int]:
    with suppress(OSError, ValueError, KeyError):
        lines = (root / "proc/meminfo").read_text().splitlines()
        sizes = {name: int(size.split()[0]) for name, size in (line.split(":", 1) for line in lines)}
        yield 1024 * (sizes["MemAvailable"] + sizes.get("SwapFree", 0))
        return
    with suppress(OSError, ValueError, AttributeError):  # of another system: all that it has
        yield os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _groups(root: Path) -> Iterator[int]:
    """Yield what each control group of the process leaves, by version 2 and version 1."""
    with suppress(OSError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers in ("", "memory"):
                where = root / "sys/fs/cgroup" / controllers
                names = ("limit_in_bytes", "usage_in_bytes", "total_inactive_file")
                names = names if controllers else ("max", "current", "inactive_file")
                inside = Path(path.lstrip("/"))
                # In a container its own group may stand in the place of the root.
                for group in {where, *(where / part for part in (inside, *inside.parents))}:
                    yield from _left(group, *names)


def _left(group: Path, limit: str, usage: str, reclaimable: str) -> Iterator[int]:
    with suppress(OSError, ValueError):  # there is no such group, or it has no limit ("max")
        most, used = (int((group / f"memory.{name}").read_text()) for name in (limit, usage))
        held = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        yield most - used + int(held.get(reclaimable, 0))


def _limits(root: Path, kinds: tuple[str, ...] = ("AS", "DATA")) -> Iterator[tuple[int, int]]:
    """Yield what `ulimit -v` and `ulimit -d` allow, and what is taken of it."""
    with suppress(ImportError, OSError, ValueError, IndexError):
        import resource

        pages = (root / "proc/self/statm").read_text().split()
        for kind in kinds:
            most = resource.getrlimit(getattr(resource, f"RLIMIT_{kind}"))[0]
            if most != resource.RLIM_INFINITY:
                yield most, int(pages[{"AS": 0, "DATA": 5}[kind]]) * resource.getpagesize()
