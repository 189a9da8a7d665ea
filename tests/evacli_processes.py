"""Runs `evacli ...` in processes of their own, for signals, kills and limits that are real.

Importing TensorFlow takes seconds. So one server process imports it, without running any operation, which would start
threads, and forks a child for each command line. What else any command imports it has ready as well, but for those
parts of evacli that start TensorFlow.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SERVER = """
import gc, json, os, resource, sys
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import tensorflow, keras, sklearn.datasets, sklearn.model_selection, PIL.Image, cv2, matplotlib.backends.backend_agg
import evacli.__main__, evacli.cli, evacli.data, evacli.figures.style, evacli.pages.render, evacli.training.train
try:
    evacli.cli.app(["train", "--epochs", "0"])  # to have what Typer imports when it reads a command line
except SystemExit:
    evacli.cli.console.stderr.cache_clear()
if "evacli.backend" in sys.modules:
    sys.exit()
evacli.console.PATIENCE = 1e6  # no line shall come by the clock of a busy machine
gc.freeze()  # what is shared with the children stays shared
os.write(int(sys.argv[1]), b"ready\\n")
for line in sys.stdin:
    order = json.loads(line)
    pid = 0 if "wait" in order else os.fork()
    if "wait" in order:
        os.write(int(sys.argv[1]), b"%d\\n" % os.waitstatus_to_exitcode(os.waitpid(order["wait"], 0)[1]))
    elif pid:
        os.write(int(sys.argv[1]), b"%d\\n" % pid)
    else:
        break
else:
    sys.exit()
for descriptor, name in (0, order["stdin"]), (1, order["out"]), (2, order["err"]):
    os.dup2(os.open(name, os.O_RDWR | os.O_CREAT | os.O_APPEND), descriptor)
os.close(int(sys.argv[1]))
os.chdir(order["cwd"])
if order["max_file_bytes"] is not None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (order["max_file_bytes"], resource.RLIM_INFINITY))
if order["gigabytes"] is not None:
    resource.setrlimit(resource.RLIMIT_AS, (int(order["gigabytes"] * 1e9),) * 2)
os.environ.update(order["environment"])
sys.argv = ["evacli", *order["arguments"]]
try:
    evacli.__main__.main()
finally:
    if "evacli.backend" in sys.modules:  # what a process that begins with nothing would have imported TensorFlow with
        open(order["err"] + ".heavy", "w").close()
"""


@dataclass(frozen=True)
class Ended:
    """What a process left: its exit code, negative if a signal ended it, and what it wrote."""

    code: int
    out: str
    err: str
    heavy: bool = False  # whether it started TensorFlow


class Running:
    """A process under way."""

    def __init__(self, pid: int, out: Path, err: Path, wait: Callable[[int], int]) -> None:
        self.pid, self._out, self._err, self._wait = pid, out, err, wait

    @property
    def out(self) -> str:
        """What it has written to stdout so far."""
        return self._out.read_text()

    @property
    def err(self) -> str:
        """What it has written to stderr so far."""
        return self._err.read_text()

    @property
    def has_ended(self) -> bool:
        """Whether it is over, though its parent has not yet been told."""
        return Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"

    def send(self, signum: int) -> None:
        """Sends it a signal; to a process that has ended, which its parent still remembers, that does nothing."""
        os.kill(self.pid, signum)

    def wait(self) -> Ended:
        """Waits for its end."""
        return Ended(self._wait(self.pid), self.out, self.err, self._err.with_name(f"{self._err.name}.heavy").exists())

    def kill(self) -> Ended:
        """Ends it as the system does: with no chance to do anything."""
        self.send(signal.SIGKILL)
        return self.wait()

    def until(self, condition: Callable[[], Any], patience: float = 120) -> None:
        """Waits until something has happened."""
        end = time.monotonic() + patience
        while not condition():
            if time.monotonic() > end:
                self.kill()
                raise TimeoutError(f"Nothing happened; stderr: {self.err}")
            time.sleep(0.002)


class Evacli:
    """The command `evacli`, run in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._count = folder, 0
        self._alive: set[int] = set()
        read, write = os.pipe()
        command = [sys.executable, "-c", SERVER, str(write)]
        # What TensorFlow writes while it is imported belongs to no command.
        self._server = subprocess.Popen(
            command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, pass_fds=[write]
        )
        os.close(write)
        self._answers = os.fdopen(read)
        if self._answers.readline() != "ready\n":
            raise RuntimeError("The server did not start.")

    def __call__(self, *arguments: object, **extra: Any) -> Ended:
        """Runs `evacli ARGUMENTS` to its end."""
        return self.start(*arguments, **extra).wait()

    def start(
        self,
        *arguments: object,
        cwd: Path | None = None,
        max_file_bytes: int | None = None,
        gigabytes: float | None = None,
        environment: Mapping[str, str] | None = None,
        stdin: Path | str = os.devnull,
    ) -> Running:
        """Starts `evacli ARGUMENTS`; `max_file_bytes` fit into each of its files, and `gigabytes` into its memory."""
        self._count += 1
        out, err = (self.folder / f"{self._count}.{stream}" for stream in ("out", "err"))
        order = {
            "arguments": [str(argument) for argument in arguments],
            "cwd": str(cwd or self.folder),
            "stdin": str(stdin),
            "out": str(out),
            "err": str(err),
            "max_file_bytes": max_file_bytes,
            "gigabytes": gigabytes,
            "environment": dict(environment or {}),
        }
        out.touch()
        err.touch()
        process = Running(self._ask(order), out, err, self._wait)
        self._alive.add(process.pid)
        return process

    def _wait(self, pid: int) -> int:
        self._alive.discard(pid)
        return self._ask({"wait": pid})

    def _ask(self, order: dict[str, Any]) -> int:
        self._server.stdin.write(json.dumps(order) + "\n")
        self._server.stdin.flush()
        return int(self._answers.readline())

    def close(self) -> None:
        """Ends the server, and what a failed test has left running."""
        for pid in self._alive:
            os.kill(pid, signal.SIGKILL)
        self._server.stdin.close()
        self._server.wait()
        self._answers.close()
