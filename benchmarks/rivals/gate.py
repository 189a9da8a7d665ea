"""What makes a program measurable in turn with others: it passes a gate after each step, and sleeps there meanwhile.

A rival works as its users would let it work, and calls `step_done` after each step. From its standard input it reads
lines with the number of steps to measure; to its standard output it writes a JSON line once it is warm, and one with
the seconds after each measurement.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from time import perf_counter, process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

# What compiles, traces and sizes its buffers has done so by then.
WARM_UP_STEPS = 4


class Gate:
    """Passed by one rival after each of its steps."""

    def __init__(self, **facts: Any) -> None:
        """`facts` go out with the message that the rival is warm."""
        self.facts = facts
        # Nothing else that the process prints may get between the messages.
        self._out = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)
        self._states = self._protocol()

    def step_done(self) -> None:
        """Goes on at once, or when it is this rival's turn again."""
        next(self._states)

    def _protocol(self) -> Iterator[None]:
        """Each `yield` lets one step pass."""
        for _ in range(WARM_UP_STEPS):
            yield
        self._say(**self.facts)
        for line in sys.stdin:
            yield  # the first step after the sleep wakes threads and fills caches; it does not count
            began, cpu_began = perf_counter(), process_time()
            for _ in range(int(line)):
                yield
            self._say(seconds=perf_counter() - began, cpu_seconds=process_time() - cpu_began)
        os._exit(0)  # out of the middle of somebody's training loop

    def _say(self, **message: Any) -> None:
        print(json.dumps(message), file=self._out, flush=True)


def parser() -> argparse.ArgumentParser:
    """The options that all rivals have."""
    made = argparse.ArgumentParser()
    made.add_argument("--data", required=True, help="an .npz with x_train (N, 32, 32, 3) uint8 and y_train (N,)")
    made.add_argument("--batch-size", type=int, default=128)
    made.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    return made


def training_images(path: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """(N, 32, 32, 3) pixels and (N,) labels."""
    with np.load(path) as arrays:
        return arrays["x_train"], arrays["y_train"]
