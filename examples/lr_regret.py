"""How much accuracy does a suggested learning rate cost? python examples/lr_regret.py --data cifar-10-batches-py

For each cell of lr_regret_cells.py: trainings at rates half a decade apart around the optimizer's customary one, and
beyond, until both ends are hopeless, eight points behind the best; at a quarter decade on both sides of the best; the
same with other seeds where it is not hopeless. Then range tests of each effort, with seeds that no training has.

    regret = best mean accuracy of all rates - mean accuracy at the suggested rate
    floor  = the same for the rate that is best by the other seeds: what noise alone costs
    excess = regret - floor

Each seed in turn judges what the others have chosen. Accuracy is that of the last epoch on test images; a training that
diverges counts as guessing; between rates that were trained it is interpolated along the logarithm of the rate, which
flatters no rule. Other projects' rules, and ours of before, read the sweep of `--effort quick`, a hundred steps.

Interrupt at will: what is in runs.csv and suggestions.csv is not repeated. Two of these at once share the work with
`--part 0 --parts 2` and `--part 1 --parts 2`; all takes about an hour of two cores.
"""

import argparse
import csv
import math
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
from lr_regret_cells import CELLS, IMAGES, Cell, Images
from lr_regret_figure import draw
from lr_regret_table import by_cell, tables
from rival_lr_rules import RIVALS

from evacli import config, console, data, evaluation
from evacli.catalogue.optimizers import OPTIMIZERS
from evacli.data.types import Split
from evacli.engine.base import Figures
from evacli.evaluation import Predictions
from evacli.figures.style import save
from evacli.lr_finder.conclude import conclude
from evacli.lr_finder.range_test import EFFORTS, make_range, measure
from evacli.run.lr_result import Curve
from evacli.training.learner import Learner, assemble
from evacli.training.rate_control import RateControl

SEEDS, TEST_SEEDS = (1, 2, 3), (101, 102)
GUESSING, HOPELESS = 0.1, 0.08
HALF, QUARTER = 10**0.5, 10**0.25
LOWEST, HIGHEST = 1e-6, 100.0
RUN_COLUMNS = ("cell", "seed", "lr", "accuracy")
SUGGESTION_COLUMNS = ("cell", "seed", "rule", "lr", "steps")


class Diverged(Exception):
    """A loss is not finite."""


class StopAtDivergence:
    every = 20

    def after(self, figures: Figures) -> None:
        if not all(map(math.isfinite, figures.losses)):
            raise Diverged


class Study:
    """What is done and what is left to do."""

    def __init__(self, out: Path, sources: dict[str, str]) -> None:
        self.out, self.sources = out, sources
        self.runs, self.suggestions = out / "runs.csv", out / "suggestions.csv"

    def images(self, name: str) -> Path:
        """The file with a data set's small images, made when it is first asked for."""
        path, wanted = self.out / f"{name}.npz", IMAGES[name]
        if not path.exists():
            where = {"data": self.sources[wanted.named]} if wanted.named in self.sources else {}
            shrink(data.load(config.make(wanted.source | where)), wanted, path)
        return path

    def learner(self, cell: Cell, seed: int) -> Learner:
        keras.backend.clear_session()
        made = config.make(cell.settings | {"data": str(self.images(cell.images)), "seed": seed})
        return assemble(made, data.load(made))

    def train(self, cell: Cell, seed: int) -> None:
        """Train at all rates that are left to be trained with this seed."""
        trainings = Trainings(self, cell, seed)
        if seed != SEEDS[0]:
            for lr in by_cell(read(self.runs))[cell.name].promising(HOPELESS * 100):
                trainings.at(lr)
            return
        customary = OPTIMIZERS[cell.optimizer].lr
        around = 10 ** (round(4 * math.log10(customary)) / 4)
        for half_decades in range(-3, 4):
            trainings.at(around * HALF**half_decades)
        while lr := trainings.beyond_the_edge():
            trainings.at(lr)
        best = trainings.best
        for factor in (1 / QUARTER, QUARTER):
            trainings.at(best * factor)
        while lr := trainings.beyond_hope():
            trainings.at(lr)

    def ask(self, cell: Cell, seed: int) -> None:
        """Make the range tests of a cell with this seed."""
        done = {row["rule"] for row in read(self.suggestions) if (row["cell"], row["seed"]) == (cell.name, str(seed))}
        efforts = [effort for effort in EFFORTS if effort not in done]
        if not efforts:
            return
        learner = self.learner(cell, seed)
        for effort in efforts:
            plan = EFFORTS[effort]
            swept = make_range(min_lr=1e-7, max_lr=10.0, steps=plan.steps, mode="exp")
            curve, short = measure(learner, plan, swept)
            found = conclude(curve, swept, learner.config, effort, short)
            steps = len(curve.losses) + sum(one.steps for one in short)
            rows = [(effort, found.lr, steps)]
            if effort == "quick":
                rows += [(name, lr, len(curve.losses)) for name, lr in others(curve, found.suggestions, cell).items()]
            append(self.suggestions, SUGGESTION_COLUMNS, [(cell.name, seed, n, f"{lr:.6g}", s) for n, lr, s in rows])
            print(cell.name, seed, effort, f"{found.lr:.3g}", steps, sep="  ", flush=True)


class Trainings:
    """The trainings of a cell with one seed, which begin all with the same weights."""

    def __init__(self, study: Study, cell: Cell, seed: int) -> None:
        self.study, self.cell, self.seed = study, cell, seed
        rows = [row for row in read(study.runs) if (row["cell"], row["seed"]) == (cell.name, str(seed))]
        self.accuracies = {row["lr"]: float(row["accuracy"]) for row in rows}
        self.learner: Learner | None = None

    def at(self, lr: float) -> None:
        if any(math.isclose(lr, float(tried), rel_tol=0.01) for tried in self.accuracies):
            return
        name = f"{lr:.6g}"
        if self.learner is None:
            self.learner = self.study.learner(self.cell, self.seed)
            self.start = self.learner.engine.state()
        self.learner.engine.restore(self.start)
        self.accuracies[name] = accuracy(self.learner, lr)
        row = self.cell.name, self.seed, name, f"{self.accuracies[name]:.4f}"
        append(self.study.runs, RUN_COLUMNS, [row])
        print(*row, sep="  ", flush=True)

    def beyond_hope(self) -> float | None:
        """The next rate beyond an end that is not hopeless, None where both are."""
        rates = sorted(self.accuracies, key=float)
        enough = max(self.accuracies.values()) - HOPELESS
        if self.accuracies[rates[0]] > enough and float(rates[0]) > LOWEST:
            return float(rates[0]) / HALF
        return float(rates[-1]) * HALF if self.accuracies[rates[-1]] > enough and float(rates[-1]) < HIGHEST else None

    @property
    def best(self) -> float:
        return float(max(self.accuracies, key=self.accuracies.__getitem__))

    def beyond_the_edge(self) -> float | None:
        """The next rate where the best is among the outermost, None where it is not."""
        rates = sorted(map(float, self.accuracies))
        if self.best < 3 * rates[0] and rates[0] > LOWEST:
            return rates[0] / HALF
        return rates[-1] * HALF if self.best > rates[-1] / 3 and rates[-1] < HIGHEST else None


def accuracy(learner: Learner, lr: float) -> float:
    """Test accuracy after the last epoch; that of guessing if the loss is not finite."""
    batching, rates = learner.batching, RateControl(learner.batching, lr)
    try:
        for epoch in range(learner.config.epochs):
            controls = rates.controls(range(batching.steps_before(epoch), batching.steps_before(epoch + 1)), [])
            learner.engine.run(batching.deal(epoch, controls), [StopAtDivergence()])
    except Diverged:
        return GUESSING
    if not learner.engine.is_sound():
        return GUESSING
    learner.engine.sync(learner.network)
    test = learner.data.test
    said = evaluation.predict(learner.engine, learner.network, test.images, tta=False)
    return Predictions(said, test.labels).accuracy


def others(curve: Curve, ours: dict[str, float | None], cell: Cell) -> dict[str, float]:
    """The rates of the other rules, and the customary one, which is also what is left where a rule has none."""
    customary = OPTIMIZERS[cell.optimizer].lr
    rivals = {name: rule(curve.learning_rates, curve.losses) for name, rule in RIVALS.items()}
    of_before = {name: lr or customary for name, lr in ours.items() if name not in ("bottom", "customary")}
    return {"customary": customary} | of_before | rivals


def shrink(source: data.types.Data, wanted: Images, path: Path) -> None:
    """Store images with `side` pixels a side, each the mean of those that it stands for; validation counts as test."""

    def smaller(split: Split) -> np.ndarray:
        size = (wanted.side, wanted.side)
        return np.stack([cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in split.images.array])

    tested = [source.test] + ([source.validation] if source.validation else [])
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        path,
        x_train=smaller(source.train),
        y_train=source.train.labels,
        x_test=np.concatenate([smaller(split) for split in tested]),
        y_test=np.concatenate([split.labels for split in tested]),
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
    parser.add_argument("--clothes", help="your copy of clothing-dataset-small; without it, its cells are left out")
    parser.add_argument("--out", type=Path, default=Path("lr-regret"), help="folder for the results")
    parser.add_argument("--part", type=int, default=0, help="which part of the cells to do")
    parser.add_argument("--parts", type=int, default=1, help="of how many")
    arguments = parser.parse_args()
    sources = {"CIFAR-10": arguments.data, "clothes": arguments.clothes}
    console.configure(quiet=True)
    study = Study(arguments.out, {name: path for name, path in sources.items() if path})
    cells = [cell for cell in CELLS if arguments.clothes or IMAGES[cell.images].named != "clothes"]
    for seed in SEEDS:
        for cell in cells[arguments.part :: arguments.parts]:
            study.train(cell, seed)
    for seed in TEST_SEEDS:
        for cell in cells[arguments.part :: arguments.parts]:
            study.ask(cell, seed)
    if arguments.parts == 1:
        report(arguments.out, cells)


def report(out: Path, cells: list[Cell]) -> None:
    """Write the tables and the picture."""
    accuracies, suggestions = by_cell(read(out / "runs.csv")), read(out / "suggestions.csv")
    text = tables(
        {half: [c.name for c in cells if c.half == half] for half in ("seen", "unseen")}, accuracies, suggestions
    )
    (out / "table.md").write_text(text, encoding="utf-8")
    save(draw(accuracies, suggestions, ["quick", "normal", "thorough", "customary"]), out / "accuracies.png")
    print(text)


if __name__ == "__main__":
    main()
