"""Does the first line under "what to try next" name what is wrong? Trainings that were made wrong on purpose.

python benchmarks/advice.py --data cifar-10-batches-py --photos clothing-dataset-small --work runs/advice

The first eight decided the rules and thresholds of evacli.reporting.advice. They were judged by the second eight, on
other data and networks, and mended by them and by the third; one rule each was mended by the fourth and the fifth, and
three by the sixth. The seventh eight judge the rules as they are now.
Trained runs are kept in --work and not trained again.
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
GROUPNORM, LAYERNORM, DEPTHWISE, RESIDUAL = (
    f"{EXAMPLES / 'lr_regret_networks.py'}:{name}"
    for name in ("conv_groupnorm", "conv_layernorm", "depthwise", "residual")
)
TINY = f"{Path(__file__).parent / 'tiny_network.py'}:build"
FEW = {"limit_train": 4000, "limit_test": 1000, "image_size": "16", "batch_size": 64}
FEW_IMAGES = {"limit_train": 90, "batch_size": 10}
FEW_EPOCHS, LONGER, DROPPED = {"epochs": 2}, {"epochs": 30}, {"dropout": 0.7}
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
VEHICLES = {"epochs": 25, "lr": 0.05, "batch_size": 64}
ANIMALS = {"epochs": 20, "lr": 0.05, "batch_size": 64}
SETS = {
    "first": (
        Wrong("underfit", "cifar", CIFAR | {"model": TINY}),
        Wrong("overfit", "cifar", CIFAR | BARE | {"model": PLAIN, "lr": 0.02}),
        Wrong("rate too high", "cifar", CIFAR | {"lr": 3.0}),
        Wrong("rate too low", "cifar", CIFAR | {"lr": 0.0005}),
        Wrong("tiny data", "cifar", CIFAR | {"limit_train": 200, "batch_size": 16}),
        Wrong("noisy labels", "noisy cifar", CIFAR),
        Wrong("too much dropout", "cifar", CIFAR | {"model": "eva", "dropout": 0.7}),
        Wrong("too few epochs", "cifar", CIFAR | {"epochs": 1}),
    ),
    "second": (
        Wrong("underfit", "photos", PHOTOS | {"model": TINY, "lr": 0.01}),
        Wrong("overfit", "photos", PHOTOS | BARE | {"epochs": 25}),
        Wrong("rate too high", "photos", PHOTOS | {"lr": 0.03}),
        Wrong("rate too low", "digits", DIGITS | {"optimizer": "sgd", "lr": 0.0005}),
        Wrong("tiny data", "digits", DIGITS | {"limit_train": 60, "batch_size": 10}),
        Wrong("noisy labels", "noisy digits", DIGITS),
        Wrong("too much dropout", "photos", PHOTOS | {"model": "eva", "optimizer": "sgdw", "lr": 0.02, "dropout": 0.7}),
        Wrong("too few epochs", "digits", DIGITS | {"epochs": 2}),
    ),
    "third": (
        Wrong("underfit", "animals", ANIMALS | {"model": TINY, "optimizer": "nesterov"}),
        Wrong("overfit", "animals", ANIMALS | BARE | {"model": "resnet20", "optimizer": "adamw", "lr": 0.003}),
        Wrong("rate too high", "digits", DIGITS | {"model": PLAIN, "optimizer": "momentum", "lr": 1.0}),
        Wrong("rate too low", "photos", PHOTOS | {"model": BATCHNORM, "optimizer": "adamw", "lr": 2e-5}),
        Wrong("tiny data", "photos", PHOTOS | {"model": "resnet20", "limit_train": 100, "batch_size": 10}),
        Wrong("noisy labels", "noisy photos", PHOTOS | {"model": BATCHNORM, "optimizer": "sgdw", "lr": 0.05}),
        Wrong(
            "too much dropout", "animals", ANIMALS | {"model": "eva", "optimizer": "adam", "lr": 0.002, "dropout": 0.6}
        ),
        Wrong("too few epochs", "photos", PHOTOS | {"model": "resnet20", "optimizer": "sgdw", "lr": 0.05, "epochs": 2}),
    ),
    "fourth": (
        Wrong("underfit", "photos", PHOTOS | {"model": TINY, "optimizer": "momentum", "lr": 0.05}),
        Wrong("overfit", "vehicles", VEHICLES | BARE | {"model": PLAIN, "optimizer": "momentum", "lr": 0.02}),
        Wrong("rate too high", "cifar", CIFAR | {"model": "resnet20", "optimizer": "adamw", "lr": 0.06}),
        Wrong("rate too low", "digits", DIGITS | {"model": BATCHNORM, "optimizer": "momentum", "lr": 0.0005}),
        Wrong("tiny data", "vehicles", VEHICLES | {"model": "resnet20", "limit_train": 80, "batch_size": 10}),
        Wrong("noisy labels", "noisy cifar", CIFAR | {"model": "resnet20", "optimizer": "adamw", "lr": 0.003}),
        Wrong("too much dropout", "digits", DIGITS | {"model": "eva", "lr": 0.02, "dropout": 0.7}),
        Wrong("too few epochs", "vehicles", VEHICLES | {"model": "resnet20", "epochs": 2}),
    ),
    "fifth": (
        Wrong("underfit", "vehicles", VEHICLES | {"model": TINY, "optimizer": "adam", "lr": 0.01}),
        Wrong("overfit", "animals", ANIMALS | BARE | {"model": GROUPNORM, "optimizer": "momentum", "epochs": 25}),
        Wrong("rate too high", "vehicles", VEHICLES | {"model": LAYERNORM, "optimizer": "sgd", "lr": 3.0}),
        Wrong("rate too low", "animals", ANIMALS | {"model": RESIDUAL, "optimizer": "lion", "lr": 3e-6}),
        Wrong("tiny data", "animals", ANIMALS | {"model": LAYERNORM, "optimizer": "adam", "lr": 0.002, **FEW_IMAGES}),
        Wrong("noisy labels", "noisy animals", ANIMALS | {"model": DEPTHWISE, "optimizer": "nesterov"}),
        Wrong("too much dropout", "animals", ANIMALS | {"model": "eva", "optimizer": "momentum", "dropout": 0.7}),
        Wrong("too few epochs", "digits", DIGITS | {"model": RESIDUAL, "optimizer": "momentum", "epochs": 2}),
    ),
    "sixth": (
        Wrong("underfit", "cifar", CIFAR | {"model": TINY, "optimizer": "muon", "lr": 0.01}),
        Wrong("overfit", "vehicles", VEHICLES | BARE | {"model": RESIDUAL, "optimizer": "adam", "lr": 0.003}),
        Wrong("rate too high", "animals", ANIMALS | {"model": GROUPNORM, "optimizer": "adam", "lr": 0.05}),
        Wrong("rate too low", "photos", PHOTOS | {"model": LAYERNORM, "optimizer": "momentum", "lr": 0.001}),
        Wrong("tiny data", "digits", DIGITS | {"model": GROUPNORM, "limit_train": 70, "batch_size": 10}),
        Wrong("noisy labels", "noisy animals", ANIMALS | {"model": RESIDUAL, "optimizer": "momentum"}),
        Wrong(
            "too much dropout", "vehicles", VEHICLES | {"model": "eva", "optimizer": "adamw", "lr": 0.002, **DROPPED}
        ),
        Wrong(
            "too few epochs", "photos", PHOTOS | FEW_EPOCHS | {"model": GROUPNORM, "optimizer": "momentum", "lr": 0.02}
        ),
    ),
    "seventh": (
        Wrong("underfit", "digits", DIGITS | {"model": TINY, "optimizer": "adamw", "lr": 0.005, "epochs": 20}),
        Wrong("overfit", "photos", PHOTOS | BARE | {"model": RESIDUAL, "optimizer": "nesterov", "lr": 0.02, **LONGER}),
        Wrong("rate too high", "photos", PHOTOS | {"model": GROUPNORM, "optimizer": "lion", "lr": 0.006}),
        Wrong("rate too low", "vehicles", VEHICLES | {"model": DEPTHWISE, "optimizer": "rmsprop", "lr": 5e-5}),
        Wrong("tiny data", "cifar", CIFAR | {"model": LAYERNORM, "optimizer": "momentum", "epochs": 15, **FEW_IMAGES}),
        Wrong("noisy labels", "noisy cifar", CIFAR | {"model": LAYERNORM, "optimizer": "adamw", "lr": 0.003}),
        Wrong("too much dropout", "cifar", CIFAR | {"model": "eva", "optimizer": "lion", "lr": 0.0003, **DROPPED}),
        Wrong(
            "too few epochs", "animals", ANIMALS | FEW_EPOCHS | {"model": DEPTHWISE, "optimizer": "adam", "lr": 0.002}
        ),
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
    whole = data.load(Config(data=options.data, image_size="16"))
    animals = some(options.work / "animals.npz", whole, (2, 3, 4, 5, 6, 7))
    sources = {
        "cifar": {"data": options.data},
        "photos": {"data": options.photos},
        "digits": {"dataset": "digits"},
        "noisy cifar": {"data": noisy(options.work / "cifar.npz", data.load(Config(data=options.data, **FEW)))},
        "noisy digits": {"data": noisy(options.work / "digits.npz", data.load(Config(dataset="digits")))},
        "noisy photos": {
            "data": noisy(options.work / "photos.npz", data.load(Config(data=options.photos, image_size="32")))
        },
        "animals": {"data": animals},
        "noisy animals": {"data": noisy(options.work / "noisy-animals.npz", data.load(Config(data=animals)))},
        "vehicles": {"data": some(options.work / "vehicles.npz", whole, (0, 1, 8, 9))},
    }
    print("| wrong | data | first line |\n| --- | --- | --- |")
    for name in options.sets:
        for wrong in SETS[name]:
            run = options.work / f"{name} {wrong.cause}".replace(" ", "-")
            print(
                f"| {wrong.cause} | {wrong.source} | {first_line(run, sources[wrong.source] | wrong.settings)} |",
                flush=True,
            )


def some(file: Path, found: Any, classes: tuple[int, ...], train: int = 3000, test: int = 1000) -> str:
    """Write the first images of some classes, and return where."""
    arrays = {}
    for part, split, count in ("train", found.train, train), ("test", found.test, test):
        chosen = np.flatnonzero(np.isin(split.labels, classes))[:count]
        arrays |= {f"x_{part}": split.images.read(chosen), f"y_{part}": np.searchsorted(classes, split.labels[chosen])}
    np.savez(file, **arrays)
    return str(file)


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
