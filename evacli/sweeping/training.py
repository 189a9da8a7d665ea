"""One `evacli train` in a process of its own, and what becomes of it."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evacli.config import options
from evacli.errors import RunError
from evacli.run import history, summary
from evacli.run.directory import RunDir
from evacli.run.history import Row

# How a training that was asked to stop, and has saved everything, ends.
STOPPED = tuple(128 + signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
TRAIN = (sys.executable, "-m", "evacli", "train")
_THREADS = "TF_NUM_INTRAOP_THREADS"
_MOST_LOG = 2**16  # bytes at the end of a log in which an error is looked for


class Training:
    """A training under way; it begins, or goes on where its run stopped."""

    def __init__(self, run: RunDir, settings: Mapping[str, Any], log: Path, environment: Mapping[str, str]) -> None:
        """Start it.

        Args:
            run: its run directory.
            settings: all that it is given as options.
            log: what it says goes to the end of this file.
            environment: variables beside those of this process.
        """
        self.run, self._log = run, log
        self._asked_to_stop = False
        with log.open("ab") as out:
            self._begin = out.tell()
            # In a session of its own: Ctrl-C in the terminal is for the sweep, which passes it on, once.
            self._process = subprocess.Popen(
                [*TRAIN, "--run", str(run.path), *options(settings)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env={**os.environ, **environment},
                start_new_session=True,
            )

    @property
    def code(self) -> int | None:
        """Its exit code, negative if a signal ended it; None while it is under way."""
        return self._process.poll()

    def stop(self) -> None:
        """Ask it to stop as Ctrl-C does, with everything saved.

        By SIGTERM, which means the same to it: what a shell has put into the background ignores Ctrl-C.
        """
        if not self._asked_to_stop:
            self._asked_to_stop = True
            self._process.terminate()

    def rows(self) -> list[Row]:
        """Return its epochs so far."""
        try:
            return history.read_csv(self.run.history)
        except RunError:  # there are none yet
            return []

    @property
    def why(self) -> str:
        """Why it ended, if not well: its own words, as far as it had any."""
        with self._log.open("rb") as file:
            file.seek(max(self._begin, file.seek(0, os.SEEK_END) - _MOST_LOG))
            said = re.findall(r"^error: (.+)$", file.read().decode(errors="replace"), re.MULTILINE)
        if said:
            return str(said[-1])
        code = self.code or 0
        if code < 0:
            return f"it was killed by {signal.Signals(-code).name}"
        if code in STOPPED:
            return f"it was stopped by {signal.Signals(code - 128).name}"
        return f"it ended with exit code {code}"


def is_finished(run: RunDir, epochs: int) -> bool:
    """Whether the training of a run has come to its last epoch."""
    try:
        found = summary.read(run)
    except RunError:
        return False
    return found.state == "finished" and found.epochs_done >= epochs


def has_diverged(run: RunDir) -> bool:
    """Whether the training of a run has met a loss that is not finite."""
    try:
        return summary.read(run).state == "failed"
    except RunError:
        return False


def environments(jobs: int) -> list[dict[str, str]]:
    """Return the variables for each of so many trainings at a time: a GPU each, or a part of the processor's threads.

    A machine with fewer GPUs than trainings lets several share one. What the user has set stays.
    """
    gpus = _gpus()
    if gpus:
        growing = {"TF_FORCE_GPU_ALLOW_GROWTH": "true"} if jobs > len(gpus) else {}
        return [{"CUDA_VISIBLE_DEVICES": gpus[job % len(gpus)], **growing} for job in range(jobs)]
    if jobs == 1 or _THREADS in os.environ:
        return [{}] * jobs
    return [{_THREADS: str(max(1, _usable_cores() // jobs))}] * jobs


def _gpus() -> list[str]:
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name for name in named.split(",") if name.strip() not in ("", "-1")]
    return [str(number) for number, _ in enumerate(Path("/dev").glob("nvidia[0-9]*"))]


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
