"""Which of several processes that train together this one is: what TF_CONFIG, or Slurm, tells it."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import FrameType

from evacli.errors import ConfigError

VARIABLE = "TF_CONFIG"
_EXPECTED = (
    'Expected: {"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}, where the index is '
    "that of this process."
)


@dataclass(frozen=True)
class Place:
    """The place of a process among those that train together.

    Attributes:
        index: which one it is; 0 is the chief, who alone writes, locks and decides.
        count: how many they are.
    """

    index: int
    count: int

    @property
    def is_chief(self) -> bool:
        """Whether it is the first."""
        return self.index == 0


def place() -> Place | None:
    """Return the place of this process; None where it trains alone.

    Raises:
        ConfigError: if TF_CONFIG is not what it should be.

    Example:
        >>> place()
    """
    told = os.environ.get(VARIABLE)
    found = _told(told) if told else _of_slurm()
    return found if found and found.count > 1 else None


def _told(text: str) -> Place:
    try:
        told = json.loads(text)
        jobs = {job: list(addresses) for job, addresses in told["cluster"].items()}
        job, index = told["task"]["type"], int(told["task"]["index"])
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        raise ConfigError(f"{VARIABLE} cannot be understood: {type(e).__name__} {e}.", _EXPECTED) from e
    if set(jobs) - {"chief", "worker"} or job not in jobs or not 0 <= index < len(jobs[job]):
        raise ConfigError(f"{VARIABLE} names the task {job} {index} of {jobs}.", _EXPECTED)
    chiefs = len(jobs.get("chief", []))
    return Place(index + (chiefs if job == "worker" else 0), chiefs + len(jobs.get("worker", [])))


def by_slurm() -> bool:
    """Tell whether it is Slurm's variables alone that tell of several processes."""
    return not os.environ.get(VARIABLE) and _of_slurm() is not None


def _of_slurm() -> Place | None:
    count, index = os.environ.get("SLURM_STEP_NUM_TASKS", ""), os.environ.get("SLURM_PROCID", "")
    return Place(int(index), int(count)) if count.isdecimal() and index.isdecimal() and int(count) > 1 else None


@contextmanager
def ending_at_once() -> Iterator[None]:
    """Let a signal end the process while it waits for the others, as TensorFlow's waiting cannot be interrupted.

    Nothing has been begun that could be lost. Outside the main thread Python allows no handlers: nothing changes.
    """
    heeded: list[int] = []
    if threading.current_thread() is threading.main_thread():
        heeded = [s for s in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(s) is not signal.SIG_IGN]
    before = {signum: signal.signal(signum, signal.SIG_DFL) for signum in heeded}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


PATIENCE = 60  # seconds that the others get to end once one has


def launch(count: int, arguments: Sequence[str]) -> int:
    """Start processes of `evacli` on this machine that train together, and wait for their end.

    Args:
        count: of them.
        arguments: of this process, which say that it is to do so.

    Returns:
        The exit code of the chief; where that is 0, that of the first one that failed.
    """
    addresses = _free_addresses(count)
    command = [sys.executable, "-m", "evacli", *_without_workers(arguments)]
    processes = []
    for index in range(count):
        told = json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}})
        out = None if index == 0 else subprocess.DEVNULL
        processes.append(subprocess.Popen(command, stdout=out, env={**os.environ, VARIABLE: told}))

    def forward(signum: int, frame: FrameType | None) -> None:
        if signum != signal.SIGINT:  # which a terminal sends to all by itself
            processes[0].send_signal(signum)

    before = {signum: signal.signal(signum, forward) for signum in (signal.SIGINT, signal.SIGTERM)}
    try:
        return _ended(processes)
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def _ended(processes: Sequence["subprocess.Popen[bytes]"]) -> int:
    first_end = None
    while any(process.poll() is None for process in processes):
        if any(process.poll() for process in processes):
            first_end = first_end or time.monotonic()
            if time.monotonic() - first_end > PATIENCE:
                for process in processes:
                    process.kill()
        time.sleep(0.1)
    codes = [process.returncode for process in processes]
    return next((code if code > 0 else 128 - code for code in codes if code), 0)


def _free_addresses(count: int) -> list[str]:
    with ExitStack() as stack:  # all at once, so that they are different ones
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]


def _without_workers(arguments: Sequence[str]) -> list[str]:
    kept, rest = [], iter(arguments)
    for argument in rest:
        if argument == "--workers":
            next(rest, None)
        elif not argument.startswith("--workers="):
            kept.append(argument)
    return kept
