"""Kills trainings at random moments, hundreds of times, and counts what is lost: `make torture`.

Each training is killed with -9, again and again, and then left in peace. What it comes to must equal, to the bit, what
the same training comes to that nobody killed.
"""

import argparse
import random
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from evacli_processes import Evacli, Running
from run_state import state
from tiny_data import TINY, write_digits

from evacli.backend import keras
from evacli.errors import EvacliError
from evacli.run import checkpoint, summary
from evacli.run.directory import RunDir

# Not auto: that measures, and need not come to the same twice.
FLOAT, SHORT = ("--precision", "float32"), ("--precision", "bfloat16")
TRAININGS = (
    ("--model", TINY, "--batch-size", 8, *FLOAT),
    ("--model", TINY, "--batch-size", 32, "--weight-decay", 0.01, "--val-split", 0.2, *SHORT),
    ("--model", "eva", "--batch-size", 64, "--label-smoothing", 0.1, *SHORT),
    ("--model", "resnet20", "--batch-size", 64, "--momentum", 0, *FLOAT),
)


@dataclass
class Tally:
    """What the kills came to."""

    kills: int = 0
    in_start: int = 0
    losses: list[str] = field(default_factory=list)


class Torturer:
    """Kills the training of one run."""

    def __init__(self, evacli: Evacli, run: RunDir, options: tuple[object, ...], seed: int) -> None:
        self.evacli, self.run, self.options = evacli, run, options
        self.chance, self.tally, self._position = random.Random(seed), Tally(), (0, 0)

    def torture(self, kills: int) -> Tally:
        """Kills it so many times and lets it come to its next end of an epoch."""
        while self.tally.kills < kills:
            # So many epochs that it gets done in no case; the rate is constant, so their number changes nothing else.
            process = self._train("--epochs", 10_000)
            self._wait(process)
            ended = process.kill()
            if ended.code != -signal.SIGKILL:
                self.tally.losses.append(f"did not go on: {ended.err}")
                return self.tally
            self.tally.kills += 1
            self._examine()
        self._compare()
        return self.tally

    def _train(self, *options: object) -> Running:
        minutes = self.chance.choice((0, 0, 0, 5))
        everything = ("--schedule", "constant", "--checkpoint-minutes", minutes, *self.options, *options)
        return self.evacli.start("train", "--run", self.run.path, *everything)

    def _wait(self, process: Running) -> None:
        if self.chance.random() < 0.2:  # anywhere, and that is mostly before the first step
            self.tally.in_start += 1
            time.sleep(self.chance.uniform(0, 2))
            return
        before = self._saved_at()
        process.until(lambda: self._saved_at() != before or process.has_ended)
        time.sleep(self.chance.uniform(0, 0.2))

    def _saved_at(self) -> int:
        return self.run.checkpoint.stat().st_mtime_ns if self.run.checkpoint.exists() else 0

    def _examine(self) -> None:
        """Everything that is there must load, and the checkpoint must not be older than it was."""
        try:
            stored = checkpoint.load(self.run)
            position = (len(stored[0].rows), stored[0].batch) if stored else (0, 0)
            if position < self._position:
                self.tally.losses.append(f"fell back from {self._position} to {position}")
            self._position = position
            if self.run.best_model.exists():
                keras.models.load_model(self.run.best_model)
            if self.run.summary.exists():
                summary.read(self.run)
        except (EvacliError, ValueError, OSError) as e:
            self.tally.losses.append(str(e))

    def _compare(self) -> None:
        whole = RunDir(self.run.path.with_name(f"{self.run.path.name}-whole"))
        epochs = self._position[0] + 1
        ended = self._train("--epochs", epochs).wait()
        self.run, tortured = whole, self.run
        self._train("--epochs", epochs).wait()
        if ended.code or state(tortured.path) != state(whole.path):
            self.tally.losses.append(f"differs from the training that nobody killed: {ended.err}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kills", type=int, nargs="?", default=300)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = write_digits(Path(folder) / "digits.npz")
        evacli = Evacli(Path(folder))
        tallies = []
        for i, options in enumerate(TRAININGS):
            torturer = Torturer(evacli, RunDir(Path(folder) / str(i)), ("--data", data, *options), asked.seed + i)
            tallies.append(torturer.torture(-(-asked.kills // len(TRAININGS))))
            tell(options, tallies[-1])
        evacli.close()
    losses = sum(len(tally.losses) for tally in tallies)
    sys.stdout.write(f"{sum(tally.kills for tally in tallies)} kills, {losses} losses (seed {asked.seed})\n")
    sys.exit(bool(losses))


def tell(options: tuple[object, ...], tally: Tally) -> None:
    text = f"{' '.join(map(str, options))}: {tally.kills} kills, {tally.in_start} of them anywhere"
    sys.stdout.write("\n  LOST: ".join([text, *tally.losses]) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
