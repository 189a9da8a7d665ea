"""How much accuracy does a suggested learning rate cost? python examples/lr_regret.py --data cifar-10-batches-py

For each network and optimizer: one range test, then a brief training (one-cycle) at seven rates around evacli's
suggestion and at the rate that each rule, ours and of three other projects, reads off that same curve.

    regret of a rule = best mean accuracy of all rates that were trained - mean accuracy at the rule's rate

Means are over the seeds, and accuracy is that of the last epoch: the best of several single noisy runs flatters
itself, which would count as regret of all rules. With few seeds some of that is left. So there is a second measure,
unbiased: for each seed in turn the best rate is chosen by the other seeds and judged by this one.

Rates are rounded to twelve a decade, about the resolution of the sweep, so that rules that agree share their
trainings. A training that diverges counts as guessing. Images are made smaller (2x2 and 4x4 pixels to one), so that all
of it takes an hour. Interrupt at will: finished runs are in runs.csv and are not repeated.
"""

import argparse
import csv
import math
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

import evacli
from evacli import config, data
from evacli.errors import Diverged, NoSuggestion
from evacli.lr_finder.result import Curve, read_curve
from evacli.lr_finder.suggest import CHOSEN_RULE, RULES, suggest
from evacli.run import history
from evacli.run.directory import RunDir
from rival_lr_rules import RIVALS

HERE = Path(__file__).parent
OPTIMIZERS = ("sgd", "momentum", "adam")
GRID = range(-3, 4)  # half decades


@dataclass(frozen=True)
class Task:
    """A network on a data set, and what else `evacli.train` is told."""

    name: str
    model: str
    source: dict
    side: int
    batch_size: int
    epochs: int


def tasks(cifar: str) -> list[Task]:
    few = {"data": cifar, "limit_train": 2500, "limit_test": 2500}
    batchnorm, plain = (f"{HERE / file}:build" for file in ("my_network.py", "plain_network.py"))
    return [
        Task("CIFAR-10, BatchNorm", batchnorm, few, side=16, batch_size=32, epochs=4),
        Task("CIFAR-10, no BatchNorm", plain, few, side=16, batch_size=32, epochs=4),
        Task("digits, eva", "eva", {"dataset": "digits"}, side=8, batch_size=32, epochs=4),
    ]
