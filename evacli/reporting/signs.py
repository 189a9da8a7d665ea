"""What of an evaluated run the advice rests on."""

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evacli.backend import keras
from evacli.catalogue.optimizers import OPTIMIZERS
from evacli.config import Config
from evacli.data.types import Data
from evacli.errors import RunError
from evacli.models.nested import all_layers
from evacli.reporting.advice import Signs
from evacli.run import history, tables
from evacli.run.directory import RunDir
from evacli.run.history import Row
from evacli.run.lr_result import suggestion

if TYPE_CHECKING:
    from evacli.evaluation import EvaluatedRun, Predictions


def read(run: "EvaluatedRun", rows: Sequence[Row], confusions: NDArray[np.int64]) -> Signs:
    """Collect the signs of a run.

    Args:
        run: what it is and what its network says.
        rows: its epochs.
        confusions: (C, C) counts on the test images; row: true class.
    """
    trained, config, best = run.trained, run.config, history.best(rows)
    found = None
    with suppress(RunError):  # the advice does without it
        found = suggestion(run.run)
    counts = np.bincount(run.test.labels)
    return Signs(
        path=str(run.run.path),
        run=run.run.option,
        data={"dataset" if config.data is None else "data": config.data or config.dataset},
        failed=trained.state == "failed",
        lr=trained.lr,
        customary=OPTIMIZERS[config.optimizer].lr,
        suggested=found.lr if found else None,
        tried=(found.range.min_lr, found.range.max_lr) if found else None,
        epochs=trained.epochs_done,
        train_losses=tuple(row.train_loss for row in rows),
        accuracies=tuple(a for row in rows if (a := row.deciding_accuracy) is not None) or (run.test.accuracy,),
        train=run.train.accuracy,
        learning=best.train_accuracy if best else run.train.accuracy,
        test=run.test.accuracy,
        majority=float(counts.max() / counts.sum()),
        images_per_class=len(run.data.train) / run.data.num_classes,
        dropout=_dropped(run.network),
        parameters=trained.parameters,
        rank=_rank(run.test),
        confusions=confusions,
        class_names=trained.class_names,
        suspects=_suspects(run.run, set(run.test.mistakes.tolist())),
        gentler=_gentler(config, run.data),
        pretrained=config.starts_pretrained,
    )


def _rank(said: "Predictions") -> float:
    """Return the mean place of the label among the classes that were not said, of mistakes; 0 without any."""
    classes = said.probabilities.shape[1]
    if not len(said.mistakes) or classes < 3:
        return 0.0
    wrong, labels = said.probabilities[said.mistakes], said.labels[said.mistakes]
    order = np.argsort(-wrong, axis=1, kind="stable")
    places = (order == labels[:, None]).argmax(axis=1)  # 1 is the second choice
    return float(np.mean((places - 1) / (classes - 2)))


def _dropped(network: keras.Model) -> float:
    layers = (layer for layer in all_layers(network) if isinstance(layer, keras.layers.Dropout))
    return max((float(layer.rate) for layer in layers), default=0.0)


def _gentler(config: Config, data: Data) -> dict[str, Any]:
    side = min(data.image_shape[:2])
    offered = {
        "flip": True if data.flippable else None,
        "crop": side // 8,
        "cutout": side // 2,
        "label_smoothing": 0.1,
        "mixup": 0.2,
    }
    unused = {name: value for name, value in offered.items() if value and not getattr(config, name)}
    return dict(list(unused.items())[:3])


def _suspects(run: RunDir, mistakes: set[int]) -> int | None:
    """Count the mistakes whose labels are suspected to be wrong; None where nobody has looked."""
    with suppress(*tables.UNREADABLE):
        rows = list(tables.read(run.label_issues))
        return sum(row["part"] == "test" and int(row["index"]) in mistakes for row in rows)
    return None
