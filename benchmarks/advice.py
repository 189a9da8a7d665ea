"""Does the first line under "what to try next" name what is wrong? Trainings that were made wrong on purpose.

python benchmarks/advice.py --data cifar-10-batches-py --photos clothing-dataset-small --work runs/advice

Eight of them decided the thresholds of evacli.reporting.advice; eight on other data and networks did not, and judge
them. Trained runs are kept in --work and not trained again.
"""

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import evacli
from evacli import console, data
from evacli.config import Config
from evacli.errors import Diverged

EXAMPLES = Path(__file__).parent.parent / "examples"
BATCHNORM, PLAIN = (f"{EXAMPLES / name}.py:build" for name in ("my_network", "plain_network"))
TINY = f"{Path(__file__).parent / 'tiny_network.py'}:build"
FEW = {"limit_train": 4000, "limit_test": 1000, "image_size": "16", "batch_size": 64}
BARE = {"cutout": 0, "crop": 0, "flip": False}


@dataclass(frozen=True)
class Wrong:
    """A training that is wrong on purpose: what is wrong with it, on which data, and what it is trained with."""

    cause: str
    source: str
    settings: dict[str, Any] = field(default_factory=dict)


CIFAR = {"model": BATCHNORM, "epochs": 20, "lr": 0.05, **FEW}
PHOTOS = {"model": PLAIN, "epochs": 15, "lr": 0.002, "optimizer": "adam", "batch_size": 32, "image_size": "32"}
DIGITS = {"model": "resnet20", "epochs": 15, "lr": 0.05, "batch_size": 32}
SETS = {
    "frozen": (
        Wrong("underfit", "cifar", CIFAR | {"model": TINY}),
        Wrong("overfit", "cifar", CIFAR | BARE | {"model": PLAIN, "lr": 0.02}),
        Wrong("rate too high", "cifar", CIFAR | {"lr": 3.0}),
        Wrong("rate too low", "cifar", CIFAR | {"lr": 0.0005}),
        Wrong("tiny data", "cifar", CIFAR | {"limit_train": 200, "batch_size": 16}),
        Wrong("noisy labels", "noisy cifar", CIFAR),
        Wrong("too much dropout", "cifar", CIFAR | {"model": "eva", "dropout": 0.7}),
        Wrong("too few epochs", "cifar", CIFAR | {"epochs": 1}),
    ),
    "unseen": (
        Wrong("underfit", "photos", PHOTOS | {"model": TINY, "lr": 0.01}),
        Wrong("overfit", "photos", PHOTOS | BARE | {"epochs": 25}),
        Wrong("rate too high", "photos", PHOTOS | {"lr": 0.03}),
        Wrong("rate too low", "digits", DIGITS | {"optimizer": "sgd", "lr": 0.0005}),
        Wrong("tiny data", "digits", DIGITS | {"limit_train": 60, "batch_size": 10}),
        Wrong("noisy labels", "noisy digits", DIGITS),
        Wrong("too much dropout", "photos", PHOTOS | {"model": "eva", "optimizer": "sgdw", "lr": 0.02, "dropout": 0.7}),
        Wrong("too few epochs", "digits", DIGITS | {"epochs": 2}),
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", required=True, help="CIFAR-10")
    parser.add_argument("--photos", required=True, help="photographs in folders of classes")
    parser.add_argument("--work", type=Path, default=Path("runs/advice"))
    parser.add_argument("--sets", nargs="+", default=[*SETS], choices=SETS)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    console.configure(quiet=True)
    sources = {
        "cifar": {"data": options.data},
        "photos": {"data": options.photos},
        "digits": {"dataset": "digits"},
        "noisy cifar": {"data": noisy(options.work / "cifar.npz", data.load(Config(data=options.data, **FEW)))},
        "noisy digits": {"data": noisy(options.work / "digits.npz", data.load(Config(dataset="digits")))},
    }
    print("| wrong | data | first line |\n| --- | --- | --- |")
    for name in options.sets:
        for wrong in SETS[name]:
            run = options.work / f"{name} {wrong.cause}".replace(" ", "-")
            print(
                f"| {wrong.cause} | {wrong.source} | {first_line(run, sources[wrong.source] | wrong.settings)} |",
                flush=True,
            )


def noisy(file: Path, found: Any, share: float = 0.3) -> str:
    """Write data with a share of its labels replaced by any other class, in all splits, and return where."""
    rng = np.random.default_rng(0)
    arrays = {}
    for part, split in ("train", found.train), ("test", found.test):
        labels = split.labels.copy()
        wrong = rng.random(len(labels)) < share
        labels[wrong] = (labels[wrong] + rng.integers(1, found.num_classes, wrong.sum())) % found.num_classes
        arrays |= {f"x_{part}": split.images.read(range(len(split))), f"y_{part}": labels}
    np.savez(file, **arrays)
    return str(file)


def first_line(run: Path, settings: dict[str, Any]) -> str:
    """Train unless that is done, and return what the report puts first."""
    if not (run / "summary.json").exists():
        try:
            evacli.train(run, **settings)
        except Diverged as e:
            print(e.message)
    advice = evacli.report(run, gradcam=False).advice
    return advice[0].reason if advice else "nothing"


if __name__ == "__main__":
    main()
