"""Rivals in processes of their own, since frameworks disturb each other's threads; one runs, the others sleep."""

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
# What evacli does for itself (evacli/backend.py), rivals get from outside: an allocator that keeps its memory, and
# TensorFlow's faster kernels on processors that it knows nothing of.
AT_THEIR_BEST = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "16000000000",
    "MALLOC_ARENA_MAX": "1",
    "TF_ENABLE_ONEDNN_OPTS": "1",
}


class DoesNotRun(Exception):
    """A rival ended where it should have answered."""


@dataclass(frozen=True)
class Entry:
    """A rival as it enters the contest.

    Attributes:
        name: what the table calls it.
        module: its program in `rivals/`.
        arguments: of that program.
        against: names of the entries that it is compared with, each measured right beside it in every round.
        environment: variables set for it.
    """

    name: str
    module: str
    arguments: tuple[str, ...] = ()
    against: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


class Rival:
    """An entry's process."""

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (lives as long as the process)
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"rivals.{entry.module}", *entry.arguments],
            cwd=HERE,
            env={**os.environ, **entry.environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self.facts = self._answer()

    def measure(self, steps: int) -> dict[str, float]:
        """Wall-clock and CPU seconds of a step."""
        print(steps, file=self._process.stdin, flush=True)
        return {name: seconds / steps for name, seconds in self._answer().items()}

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.communicate()

    def _answer(self) -> dict[str, Any]:
        line = self._process.stdout.readline()  # type: ignore[union-attr]
        if line:
            answer: dict[str, Any] = json.loads(line)
            return answer
        self.close()
        self._errors.seek(0)
        raise DoesNotRun((self._errors.read().strip().splitlines() or ["no word"])[-1])


@contextmanager
def started(entries: Sequence[Entry]) -> Iterator[dict[str, Rival]]:
    """All rivals that run, warm; of the others it is said why they do not."""
    with ExitStack() as ends:
        rivals: dict[str, Rival] = {}
        for entry in entries:
            note(f"starting {entry.name}")
            try:
                rivals[entry.name] = Rival(entry)
                ends.callback(rivals[entry.name].close)
            except DoesNotRun as e:
                print(f"{entry.name} does not run here: {e}\n")
        yield rivals


@dataclass
class Pair:
    """A rival beside the one that it is compared with, or alone; seconds a step in each round.

    Attributes:
        name: of the rival.
        other: of the one that it is compared with.
        seconds: by the clock.
        cpu_seconds: of all its threads.
        other_seconds: of the other, by the clock.
    """

    name: str
    other: str | None
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    other_seconds: list[float] = field(default_factory=list)


def compete(rivals: dict[str, Rival], rounds: int, steps: int) -> list[Pair]:
    """Measures each rival next to those that it is compared with, first and second in turn.

    Ctrl-C ends it early; after the first round, what has been measured until then counts.
    """
    pairs = []
    for name, rival in rivals.items():
        against = [other for other in rival.entry.against if other in rivals]
        pairs += [Pair(name, other) for other in against or [None]]
    try:
        for number in range(rounds):
            note(f"round {number + 1} of {rounds}, load {os.getloadavg()[0]:.1f}")
            for pair in pairs:
                names = [n for n in (pair.name, pair.other) if n]
                measured = {name: rivals[name].measure(steps) for name in names[:: 1 if number % 2 else -1]}
                pair.seconds.append(measured[pair.name]["seconds"])
                pair.cpu_seconds.append(measured[pair.name]["cpu_seconds"])
                if pair.other:
                    pair.other_seconds.append(measured[pair.other]["seconds"])
    except KeyboardInterrupt:
        if not all(pair.seconds for pair in pairs):
            raise
    return pairs


def table(pairs: Sequence[Pair], images: int) -> str:
    """Markdown: images/s of each rival, and how many times as fast the other one was."""
    lines = [
        "| | images/s: median (min..max) | CPU ms an image | compared with | which is faster by: median (min..max) |",
        "| --- | ---: | ---: | --- | ---: |",
    ]
    for pair in pairs:
        speeds = spread(images / np.array(pair.seconds), ",.0f")
        cpu = f"{np.median(pair.cpu_seconds) / images * 1e3:.2f}"
        ratios = spread(np.array(pair.seconds) / np.array(pair.other_seconds), ".2f") if pair.other else ""
        lines.append(f"| {pair.name} | {speeds} | {cpu} | {pair.other or ''} | {ratios} |")
    return "\n".join(lines)


def spread(values: Any, style: str) -> str:
    """Median (min..max)."""
    return f"{np.median(values):{style}} ({np.min(values):{style}}..{np.max(values):{style}})"


def machine() -> str:
    """One line on where this was measured."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return f"{_processor()}, {len(os.sched_getaffinity(0))} cores, load {load}, Python {platform.python_version()}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def note(text: str) -> None:
    """Says on stderr what is going on."""
    print(text, file=sys.stderr, flush=True)
