"""Stands in for `evacli train` in sweeps: the same files, lock and answers to signals, and nothing is trained.

How good an epoch is follows from the learning rate alone; 0.01 is the best.
"""

import argparse
import math
import os
import signal
import sys
import time
from types import FrameType

from evacli.run import history, locking, summary
from evacli.run.directory import RunDir, write_text_atomically
from evacli.run.history import Row
from evacli.run.summary import Summary

DIVERGES = 0.5
SECONDS = float(os.environ.get("FAKE_SECONDS", "0.02"))  # of an epoch


def accuracy(lr: float, epoch: int) -> float:
    """On the validation images, after an epoch."""
    return round((0.9 - 0.2 * abs(math.log10(lr) + 2)) * (1 - 0.5**epoch), 6)


def main() -> None:
    parser = argparse.ArgumentParser()
    for option in ("--run", "--lr", "--epochs", "--seed", "--val-split"):
        parser.add_argument(option)
    asked = parser.parse_known_args()[0]
    run, lr, epochs = RunDir(asked.run), float(asked.lr), int(asked.epochs)
    stop: list[int] = []

    def note(signum: int, frame: FrameType | None) -> None:
        stop.append(signum)

    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, note)
    with locking.exclusive(run):
        rows = history.read_csv(run.history) if run.history.exists() else []
        while len(rows) < epochs:
            time.sleep(SECONDS)
            if stop:
                sys.exit(128 + stop[0])
            if lr > DIVERGES:
                write_summary(run, rows, "failed")
                sys.exit("error: The loss is not finite any more.")
            value = accuracy(lr, len(rows) + 1)
            judged = value if float(asked.val_split or 0) else None
            rows.append(make_row(len(rows) + 1, lr, judged))
            write_text_atomically(run.history, history.to_csv(rows))
            sys.stderr.write(f"    {len(rows)}/{epochs}  {lr:g}  {value:.2%}\n")
            sys.stderr.flush()
        write_summary(run, rows, "finished")


def make_row(epoch: int, lr: float, judged: float | None) -> Row:
    tested = {"test_loss": 1.0, "test_accuracy": 0.5 + epoch / 100}
    return Row(epoch=epoch, lr=lr, train_loss=1.0, train_accuracy=0.5, seconds=1.0, val_accuracy=judged, **tested)


def write_summary(run: RunDir, rows: list[Row], state: str) -> None:
    top = history.best(rows)
    summary.write(
        run,
        Summary(
            state=state,
            epochs_done=len(rows),
            epochs_tested=1,
            top_accuracy=0.5,
            top_epoch=top.epoch if top else 0,
            test_accuracy=0.5 + int(str(run.path).rpartition("-")[2]) / 100,
            chosen_by="test",
            class_names=("a", "b"),
            train_images=2,
            test_images=2,
            lr=0.1,
            lr_source="--lr",
            model="eva",
            parameters=1,
            data_fingerprint="f",
            seconds=1.0,
            images_per_second=1.0,
        ),
    )


if __name__ == "__main__":
    main()
