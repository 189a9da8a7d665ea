"""Kills the drivers of sweeps and their trainings at random, and counts what is lost or counted twice.

`python tests/sweep_torture.py` does so with real trainings: twenty kills, a quarter of an hour.
"""

import argparse
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tiny_data import TINY, write_digits

from evacli.sweeping.files import SweepDir

FAKE = Path(__file__).with_name("fake_train.py")
# `evacli`, whose trainings are the program that comes first.
STANDING_IN = """
import sys
from evacli.sweeping import training
training.TRAIN = (sys.executable, sys.argv.pop(1))
from evacli.__main__ import main
main()
"""
TINY_DATA = ("--model", TINY, "--batch-size", 32, "--precision", "float32")
SET_STATE = 6  # the operation of Optuna's journal that ends a trial


def driver(arguments: Sequence[object], *, fake: bool, cwd: Path, environment: Mapping[str, str] | None = None):
    """A process of `evacli sweep ARGUMENTS`, with trainings that are real or only look so."""
    program = ["-c", STANDING_IN, str(FAKE)] if fake else ["-m", "evacli"]
    return subprocess.Popen(
        [sys.executable, *program, "sweep", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        start_new_session=True,
        env={**os.environ, **(environment or {})},
    )


def at_work(files: SweepDir) -> list[int]:
    """The processes that are training just now."""
    found = []
    for owner in files.path.glob("trial-*/train.pid"):
        with suppress(OSError, ValueError):
            found.append(int(owner.read_text()))
    return [pid for pid in found if Path(f"/proc/{pid}").exists()]


def wait_for_training(files: SweepDir, drivers: Sequence[subprocess.Popen[str]]) -> None:
    """Returns once there is one, or will be none."""
    while not at_work(files) and any(process.poll() is None for process in drivers):
        time.sleep(0.05)


def losses(files: SweepDir, trials: int, epochs: int, result: Mapping[str, object]) -> list[str]:
    """What is wrong with a sweep that is over, as far as its journal and the logs of its trainings tell."""
    journal = [json.loads(line) for line in files.journal.read_text().splitlines()]
    ends = Counter(entry["trial_id"] for entry in journal if entry["op_code"] == SET_STATE)
    wrong = [f"trial {number} was counted {count} times" for number, count in ends.items() if count != 1]
    if set(ends) != set(range(trials)):
        wrong.append(f"counted are {sorted(ends)}")
    told = {trial["number"]: trial for trial in result["trials"]}
    if sorted(told) != list(range(trials)):
        wrong.append(f"told are {sorted(told)}")
    for number, trial in told.items():
        log = files.log(files.trial(number)).read_text()
        trained = Counter(re.findall(rf"^ +(\d+)/{epochs} ", log, re.MULTILINE))
        if twice := [epoch for epoch, count in trained.items() if count > 1]:
            wrong.append(f"trial {number} trained epochs {twice} twice")
        if trial["state"] == "finished" and len(trial["curve"]) != epochs:
            wrong.append(f"trial {number} has {trial['curve']}")
        if trial["state"] not in ("finished", "failed"):
            wrong.append(f"trial {number} is {trial['state']}")
    return wrong


def torture(folder: Path, options: Sequence[object], *, fake: bool, kills: int, trials: int, epochs: int, seed: int):
    """Kills two drivers of a sweep and their trainings so many times, then lets them come to the end.

    Returns:
        How often a driver was killed, how often a training, and what is wrong.
    """
    chance, files = random.Random(seed), SweepDir(folder / "sweep")
    everything = ("--trials", trials, "--epochs", epochs, "--jobs", 2, "--prune", "none", "--json", *options)
    arguments = ("--sweep", files.path, "--search", "lr=1e-3..1e-1:log", *everything)
    environment = {"FAKE_SECONDS": "0.4"} if fake else {}

    def begin():
        return driver(arguments, fake=fake, cwd=folder, environment=environment)

    drivers, killed = [begin(), begin()], Counter()
    while killed.total() < kills and any(process.poll() is None for process in drivers):
        if chance.random() < 0.8:  # else anywhere, and that is mostly before the first training
            wait_for_training(files, drivers)
        time.sleep(chance.uniform(0, 2))
        trained = at_work(files)
        if trained and chance.random() < 0.5:
            with suppress(ProcessLookupError):
                os.kill(chance.choice(trained), signal.SIGKILL)
                killed["training"] += 1
        else:
            at = chance.randrange(2)
            if drivers[at].poll() is None:
                drivers[at].kill()
                drivers[at].communicate()
                killed["driver"] += 1
                drivers[at] = begin()
        sys.stderr.write(f"{dict(killed)}\n")
    ended = [(process.communicate(), process.returncode) for process in drivers]
    wrong = [f"a driver ended with {code}: {said[1]}" for said, code in ended if code]
    (out, _), _ = ended[0]
    failed = 0
    if not wrong:
        result = json.loads(out)
        wrong += losses(files, trials, epochs, result)
        failed = sum(trial["state"] == "failed" for trial in result["trials"])
        if failed > killed["training"]:
            wrong.append(f"{failed} trials failed")
    return killed, failed, wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kills", type=int, nargs="?", default=20)
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--fake", action="store_true")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        options = ("--data", write_digits(folder / "digits.npz"), *TINY_DATA, "--val-split", 0.2)
        killed, failed, wrong = torture(
            folder,
            options,
            fake=asked.fake,
            kills=asked.kills,
            trials=asked.trials,
            epochs=asked.epochs,
            seed=asked.seed,
        )
    text = f"{dict(killed)} killed, {failed} of {asked.trials} trials failed, {len(wrong)} losses (seed {asked.seed})"
    sys.stdout.write("\n  LOST: ".join([text, *wrong]) + "\n")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
