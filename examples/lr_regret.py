"""How much accuracy does a suggested learning rate cost? python examples/lr_regret.py --data cifar-10-batches-py

For each network and optimizer: one range test, then brief trainings (one-cycle) at seven rates that are half a decade
apart, and at the rate that each rule, ours and of three other projects, reads off that same curve.

    regret of a rule = best mean accuracy of all rates that were trained - mean accuracy at the rule's rate

Means are over the seeds, and accuracy is that of the last epoch. The best of several noisy means still flatters itself,
which counts as regret of all rules; so there is a second measure, unbiased: for each seed in turn the best rate is
chosen by the other seeds and judged by this one. The spread between seeds is printed too.

Rates are rounded to twelve a decade, as many as the sweep has, so that rules that agree share their trainings. A
training that diverges counts as guessing. A rate that is ten points behind with one seed is not tried with the next.
Images are made smaller (2x2 and 4x4 pixels to one), so that all of it takes an hour. Interrupt at will: finished runs
are in runs.csv and are not repeated.
"""

import argparse
import csv
import math
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
from lr_regret_figure import draw
from lr_regret_table import by_cell, tables
from rival_lr_rules import RIVALS

import evacli
from evacli import config, console, data
from evacli.catalogue.optimizers import OPTIMIZERS
from evacli.engine.optimizers import inertia
from evacli.errors import Diverged, NoSuggestion
from evacli.figures.style import save
from evacli.lr_finder.suggest import CHOSEN_RULE, rules_for, suggest
from evacli.run import history
from evacli.run.directory import RunDir
from evacli.run.lr_result import Curve, read_curve

HERE = Path(__file__).parent
# Half decades around a third of the minimum, the suggestion of evacli when this study began.
GRID = tuple(10 ** (half_decades / 2) for half_decades in range(-3, 4))
PER_DECADE = 12
HOPELESS = 0.1
RUN_COLUMNS = ("task", "optimizer", "seed", "lr", "accuracy")
CURVE_COLUMNS = ("task", "optimizer", "lr", "loss")


@dataclass(frozen=True)
class Task:
    """A network on a data set."""

    name: str
    model: str
    source: dict[str, Any]
    side: int
    epochs: int
    flip: bool
    optimizers: tuple[str, ...] = ("sgd", "momentum", "adam")


def tasks(cifar: str | None) -> list[Task]:
    batchnorm, plain = (f"{HERE / file}:build" for file in ("my_network.py", "plain_network.py"))
    few = {"limit_train": 2000, "limit_test": 2000} | ({"data": cifar} if cifar else {})
    digits = {"dataset": "digits"}
    return [
        Task("digits, BatchNorm", batchnorm, digits, side=8, epochs=4, flip=False),
        Task("CIFAR-10, plain", plain, few, side=16, epochs=4, flip=True),
        Task("CIFAR-10, BatchNorm", batchnorm, few, side=16, epochs=4, flip=True),
        # evacli's default network; alone, since it takes longer than all others together.
        Task("CIFAR-10, eva", "eva", few, side=16, epochs=4, flip=True, optimizers=("momentum",)),
    ]


class Study:
    """What is done and what is left to do."""

    def __init__(self, out: Path, work: Path) -> None:
        self.runs, self.curves, self.work = out / "runs.csv", out / "curves.csv", work
        out.mkdir(parents=True, exist_ok=True)

    def settings(self, task: Task, optimizer: str) -> dict[str, Any]:
        small = self.work / f"{task.name}.npz"
        if not small.exists():
            shrink(task, small)
        return {
            "data": small,
            "model": task.model,
            "flip": task.flip,
            "optimizer": optimizer,
            "batch_size": 32,
            "precision": "float32",
        }

    def curve(self, task: Task, optimizer: str) -> Curve:
        """The recorded range test of a network and an optimizer, or a new one."""
        key = (task.name, optimizer)
        recorded = [row for row in read(self.curves) if (row["task"], row["optimizer"]) == key]
        if not recorded:
            run = self.fresh_run()
            try:
                evacli.lr_find(run.path, **self.settings(task, optimizer))
            except NoSuggestion as e:
                console.note(e.message)
            found = read_curve(run)
            append(
                self.curves,
                CURVE_COLUMNS,
                [(*key, *step) for step in zip(found.learning_rates, found.losses, strict=True)],
            )
            return found
        return Curve(
            learning_rates=[float(row["lr"]) for row in recorded], losses=[float(row["loss"]) for row in recorded]
        )

    def accuracy(self, task: Task, optimizer: str, seed: int, lr: float) -> float:
        """Test accuracy after the last epoch; that of guessing if the loss is not finite."""
        run = self.fresh_run()
        keras.backend.clear_session()
        try:
            evacli.train(run.path, lr=lr, seed=seed, epochs=task.epochs, **self.settings(task, optimizer))
        except Diverged:
            return 0.1
        return history.read_csv(run.history)[-1].test_accuracy

    def fresh_run(self) -> RunDir:
        run = RunDir(self.work / "run")
        shutil.rmtree(run.path, ignore_errors=True)
        return run

    def do(self, seed: int, chosen: list[Task]) -> None:
        """Trains what has not been trained with this seed, but not what is hopeless by the seeds before."""
        for task in chosen:
            for optimizer in task.optimizers:
                key = (task.name, optimizer)
                before = [row for row in read(self.runs) if (row["task"], row["optimizer"]) == key]
                done = {row["lr"] for row in before if row["seed"] == str(seed)}
                best = max((float(row["accuracy"]) for row in before), default=0)
                done |= {row["lr"] for row in before if float(row["accuracy"]) < best - HOPELESS}
                for lr in rates(self.curve(task, optimizer), optimizer):
                    if f"{lr:.6g}" not in done:
                        self.run(task, optimizer, seed, lr)

    def run(self, task: Task, optimizer: str, seed: int, lr: float) -> None:
        accuracy = self.accuracy(task, optimizer, seed, lr)
        row = (task.name, optimizer, seed, f"{lr:.6g}", f"{accuracy:.4f}")
        append(self.runs, RUN_COLUMNS, [row])
        print(*row, sep="  ", flush=True)


def suggestions(curve: Curve, optimizer: str) -> dict[str, float]:
    """The rate of every rule; where one has none, that which `evacli train` then takes."""
    own = rules_for(inertia(config.make({"optimizer": optimizer})))
    try:
        ours = suggest(curve.learning_rates, curve.losses, own)
    except NoSuggestion:
        ours = dict.fromkeys(own)
    rivals = {name: rule(curve.learning_rates, curve.losses) for name, rule in RIVALS.items()}
    return {name: rounded(lr or OPTIMIZERS[optimizer].lr) for name, lr in (ours | rivals).items()}


def rates(curve: Curve, optimizer: str) -> list[float]:
    """All that are to be trained: the grid around our suggestion, and those of the rules."""
    suggested = suggestions(curve, optimizer)
    return sorted({rounded(suggested["minimum/3"] * factor) for factor in GRID} | set(suggested.values()))


def rounded(lr: float) -> float:
    return 10 ** (round(PER_DECADE * math.log10(lr)) / PER_DECADE)


def shrink(task: Task, path: Path) -> None:
    """Stores the task's images with `side` pixels a side, each the mean of those that it stands for."""
    source = data.load(config.make(task.source))

    def smaller(images: np.ndarray) -> np.ndarray:
        return np.stack([cv2.resize(image, (task.side, task.side), interpolation=cv2.INTER_AREA) for image in images])

    train, test = source.train, source.test
    np.savez(
        path,
        x_train=smaller(train.images.array),
        y_train=train.labels,
        x_test=smaller(test.images.array),
        y_test=test.labels,
    )


def read(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def append(path: Path, columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    new = not path.exists()
    with path.open("a", encoding="utf-8", newline="") as out:
        csv.writer(out, lineterminator="\n").writerows([columns, *rows] if new else rows)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what suggested learning rates cost.")
    parser.add_argument("--data", help="your copy of CIFAR-10; without it, Keras downloads one")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="a training at each rate for each")
    parser.add_argument("--out", type=Path, default=Path("lr-regret"), help="folder for the results")
    arguments = parser.parse_args()
    if len(set(arguments.seeds)) < 2:
        parser.error("--seeds takes two or more: one seed cannot tell a good rate from luck.")
    chosen = tasks(arguments.data)
    console.configure(quiet=True)
    with tempfile.TemporaryDirectory() as work:
        study = Study(arguments.out, Path(work))
        for seed in arguments.seeds:
            study.do(seed, chosen)
        suggested = {(t.name, o): suggestions(study.curve(t, o), o) for t in chosen for o in t.optimizers}
    rows = read(study.runs)
    text = tables(rows, suggested, CHOSEN_RULE, list(RIVALS))
    (arguments.out / "table.md").write_text(text, encoding="utf-8")
    save(draw(by_cell(rows), suggested, [CHOSEN_RULE, *RIVALS]), arguments.out / "accuracies.png")
    print(text)


if __name__ == "__main__":
    main()
