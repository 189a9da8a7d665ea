"""A trained run of a few images, made by hand: no data set is read and nothing is trained."""

from pathlib import Path
from typing import Any

import keras
import numpy as np

from evacli.config import Config
from evacli.data.images import InMemory
from evacli.data.types import Data, Split
from evacli.run import config_file, history, summary
from evacli.run.directory import RunDir, write_text_atomically
from evacli.run.history import Row
from evacli.run.summary import Summary

CLASSES = ("cat", "dog", "frog")
HOSTILE = (
    "<script>alert(1)</script>",
    '" onload="alert(1)',
    "</style></section><img src=x onerror=alert(1)>",
    "[/]",
    r"$\frac$",
    "\x1b[31mred",
    "lone \ud800 surrogate",
    "x" * 300,
    "=1+1",
    "{{ 7 * 7 }}",
    "猫 🐈",
    "{% raw %}",
)


def make_data(class_names: tuple[str, ...] = CLASSES, num_train: int = 12, num_test: int = 30) -> Data:
    """Random 8x8 images; the first test images show each class once."""
    rng = np.random.default_rng(7)

    def split(n: int, folder: str) -> Split:
        images = rng.integers(0, 256, (n, 8, 8, 3), np.uint8)
        return Split(InMemory(images), np.arange(n) % len(class_names), [f"{folder}/{i}.png" for i in range(n)])

    train = split(num_train, "train")
    mean, std = (tuple(of(train.images.array, axis=(0, 1, 2))) for of in (np.mean, np.std))
    return Data(train, None, split(num_test, "test"), class_names, True, "f1", tuple(map(round, mean)), std)


def make_model(num_classes: int = len(CLASSES)) -> keras.Model:
    """Untrained, yet sure of its answers: one that depends on the image."""
    keras.utils.set_random_seed(1)
    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input((8, 8, 3)),
            layers.Rescaling(1 / 64, -2, name="rescaling"),
            layers.Conv2D(4, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.5, name="dropout"),
            layers.Flatten(),
            layers.Dense(num_classes, activation="softmax", kernel_initializer="he_normal"),
        ]
    )


def make_summary(**changes: Any) -> Summary:
    """Of a finished training on `make_data()`."""
    values: dict[str, Any] = {
        "state": "finished",
        "epochs_done": 3,
        "top_accuracy": 0.5,
        "top_epoch": 2,
        "test_accuracy": 0.5,
        "chosen_by": "test",
        "class_names": CLASSES,
        "train_images": 12,
        "test_images": 30,
        "lr": 0.1,
        "lr_source": "--lr",
        "model": "eva",
        "parameters": 100,
        "data_fingerprint": "f1",
        "seconds": 1.0,
        "images_per_second": 24.0,
        "versions": {"python": "3.11.0"},
    }
    return Summary(**(values | changes))


def make_rows(num_epochs: int = 3, validated: bool = False) -> list[Row]:
    """A history in which everything becomes better."""
    return [
        Row(
            epoch=epoch,
            lr=0.1 / epoch,
            train_loss=1 / epoch,
            train_accuracy=1 - 0.5 / epoch,
            test_loss=1.2 / epoch,
            test_accuracy=1 - 0.6 / epoch,
            seconds=1.0,
            val_loss=1.3 / epoch if validated else None,
            val_accuracy=1 - 0.7 / epoch if validated else None,
        )
        for epoch in range(1, num_epochs + 1)
    ]


def make_run(path: Path, data: Data, **changes: Any) -> RunDir:
    """The run directory that a training on `data` would leave; `changes` are fields of its summary."""
    run = RunDir(path)
    run.create()
    model = make_model(data.num_classes)
    model.save(run.best_model)
    predicted = model.predict_on_batch(data.test.images.array.astype(np.float32)).argmax(1)
    accuracy = float(np.mean(predicted == data.test.labels))
    found = {"class_names": data.class_names, "top_accuracy": accuracy, "test_accuracy": accuracy}
    config_file.write(run, Config(epochs=3))
    write_text_atomically(run.history, history.to_csv(make_rows()))
    summary.write(run, make_summary(**(found | changes)))
    return run
