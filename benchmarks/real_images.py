"""The images that all rivals get."""

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import contest
import numpy as np
from contest import Entry, Rival

from evacli import config, data
from evacli.data.types import Data


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", help="CIFAR-10 where it lies; by default Keras downloads it")
    parser.add_argument("--dataset", default="cifar10", choices=("cifar10", "digits"))


def write_all(options: argparse.Namespace, folder: str) -> str:
    """Path of an .npz with all images, those of training and of tests."""
    images = _load(options)
    train, test = images.train, images.test
    path = Path(folder) / "images.npz"
    np.savez(path, x_train=train.images.array, y_train=train.labels, x_test=test.images.array, y_test=test.labels)
    return str(path)


def _load(options: argparse.Namespace) -> Data:
    return data.load(config.make({"data": options.data} if options.data else {"dataset": options.dataset}))


def write(options: argparse.Namespace, folder: str, needed: int, batch_size: int) -> str:
    """Path of an .npz with the training images, repeated where there are fewer than `needed`; all batches are full."""
    split = _load(options).train
    count = -(-max(len(split), needed) // batch_size) * batch_size
    x, y = (np.resize(array, (count, *array.shape[1:])) for array in (split.images.array, split.labels))
    path = Path(folder) / "images.npz"
    np.savez(path, x_train=x, y_train=y, x_test=x[:16], y_test=y[:16])
    return str(path)


@contextmanager
def started(options: argparse.Namespace, entries: Sequence[Entry]) -> Iterator[dict[str, Rival]]:
    """The rivals, warm, on batches of `options.batch_size` for `options.rounds` of `options.steps`."""
    # Enough that no rival comes to the end of an epoch, where other work than steps is done.
    needed = options.batch_size * (len(entries) * (options.steps + 1) * (options.rounds + 1) + 10)
    with tempfile.TemporaryDirectory() as folder:
        path = write(options, folder, needed, options.batch_size)
        common = ("--data", path, "--batch-size", str(options.batch_size))
        with contest.started([replace(e, arguments=(*common, *e.arguments)) for e in entries]) as rivals:
            yield rivals
