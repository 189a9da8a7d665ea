"""Kills one of two processes that train together at random, and compares what comes out with an undisturbed run.

`python tests/worker_torture.py` does so ten times.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from run_state import state
from tiny_data import TINY, write_digits

from evacli import workers

SETTINGS = ("--model", TINY, "--batch-size", "32", "--precision", "float32", "--lr", "0.1", "--epochs", "20")


def begin(arguments: Sequence[str]) -> list[subprocess.Popen[str]]:
    """A chief and a worker."""
    addresses, started = workers._free_addresses(2), []
    for index in range(2):
        told = json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}})
        process = subprocess.Popen(
            [sys.executable, "-m", "evacli", "train", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, workers.VARIABLE: told},
        )
        started.append(process)
    return started


def end_one_or_both(both: list[subprocess.Popen[str]], seconds: float, victim: int) -> tuple[bool, float, list[str]]:
    """Kills one process after so many seconds, unless it has ended before; waits for the others' end.

    Returns:
        Whether it was killed, how long the other one took to notice, and what is wrong.
    """
    try:
        both[victim].wait(seconds)
    except subprocess.TimeoutExpired:
        both[victim].kill()
        since = time.monotonic()
        said = both[1 - victim].communicate()[1]
        code = both[1 - victim].returncode
        # The worker is done when the chief has told it so, which then still writes.
        told = "Another process of this training is gone" in said or (code == 0 and victim == 0)
        wrong = [] if told else [f"process {2 - victim} was left, ended with {code} and said {said!r}"]
        return True, time.monotonic() - since, wrong
    said = [process.communicate()[1] for process in both]
    return False, 0.0, [f"the pair ended with {said}"] if any(process.returncode for process in both) else []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kills", type=int, nargs="?", default=10)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    asked = parser.parse_args()
    chance, wrong, killed, slowest = random.Random(asked.seed), [], 0, 0.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        common = ("--data", str(write_digits(folder / "digits.npz")), *SETTINGS, "--checkpoint-minutes", "0")
        began = time.monotonic()
        for process in begin((*common, "--run", str(folder / "undisturbed"))):
            process.communicate()
        length = time.monotonic() - began
        while killed < asked.kills:
            run, again = folder / f"run{killed}", True
            while again:
                both = begin((*common, "--run", str(run)))
                for line in both[1].stderr:  # before they have met, the other one would wait for who was killed
                    if "Process 2 of 2" in line:
                        break
                again, seconds, found = end_one_or_both(both, chance.uniform(0, length), chance.randrange(2))
                killed, slowest, wrong = killed + again, max(slowest, seconds), wrong + found
                sys.stderr.write("".join(f"{one}\n" for one in found))
            if state(run) != state(folder / "undisturbed"):
                wrong.append(f"{run.name} has come to something else")
            sys.stderr.write(f"{killed} killed, {len(wrong)} wrong\n")
    text = f"{killed} killed, the others ended within {slowest:.0f} s, {len(wrong)} losses (seed {asked.seed})"
    sys.stdout.write("\n  LOST: ".join([text, *wrong]) + "\n")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
