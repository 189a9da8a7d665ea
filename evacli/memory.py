"""How much memory there is: of the machine, of the container, and what the process may have."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from evacli import console
from evacli.errors import MemoryShort

# An estimate may be wrong by this factor; below it a user is warned, and may try.
DOUBT = 1.5


def available(root: Path = Path("/")) -> int | None:
    """Return how many bytes this process can still take, None where the system does not tell.

    Args:
        root: where the files are that Linux tells it in.

    Example:
        >>> available() > 0
        True
    """
    return max(0, min(found)) if (found := [*_machine(root), *_groups(root), *_limits(root)]) else None


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


def _limits(root: Path) -> Iterator[int]:
    """Yield what `ulimit -v` and `ulimit -d` leave."""
    with suppress(ImportError, OSError, ValueError, IndexError):
        import resource

        pages = (root / "proc/self/statm").read_text().split()
        for limit, used in ((resource.RLIMIT_AS, pages[0]), (resource.RLIMIT_DATA, pages[5])):
            most = resource.getrlimit(limit)[0]
            if most != resource.RLIM_INFINITY:
                yield most - int(used) * resource.getpagesize()
