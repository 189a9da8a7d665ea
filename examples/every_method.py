"""Trains every optimizer with every schedule for an epoch on real digits, as a smoke test that a person can read.

No network connection is needed; takes some minutes. Its runs are ready for: evacli compare runs/every-method/*-cosine
"""

import argparse
from itertools import product
from pathlib import Path
from typing import get_args

import evacli
from evacli import console
from evacli.catalogue.optimizers import OPTIMIZERS
from evacli.config import Schedule

NETWORK = f"{Path(__file__).with_name('my_network.py')}:build"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, default=Path("runs/every-method"), help="folder for the runs")
    parser.add_argument("--epochs", type=int, default=1)
    options = parser.parse_args()
    console.configure(quiet=True)
    schedules = get_args(Schedule)
    print("test accuracy".ljust(14), *(f"{schedule:>12}" for schedule in schedules))
    found = {}
    for optimizer, schedule in product(OPTIMIZERS, schedules):
        summary = evacli.train(
            options.runs / f"{optimizer}-{schedule}",
            overwrite=True,
            dataset="digits",
            model=NETWORK,
            batch_size=32,
            epochs=options.epochs,
            optimizer=optimizer,
            schedule=schedule,
        )
        found[schedule] = f"{summary.top_accuracy:12.1%}"
        if schedule == schedules[-1]:
            print(optimizer.ljust(14), *found.values(), flush=True)


if __name__ == "__main__":
    main()
