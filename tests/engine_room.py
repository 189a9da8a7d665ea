"""Looks into the engine of a learner."""

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from evacli.engine.base import Controls
from evacli.training.learner import Learner

Batch = tuple[NDArray[np.uint8], NDArray[np.int32]]


def twin(learner: Learner) -> keras.Model:
    """What trains."""
    return learner.engine._twin


def dealt(learner: Learner, epoch: int = 0, first: int = 0, steps: int | None = None, lr: float = 0.1) -> Any:
    """The batches of an epoch from `first` on, `steps` of them or all, as a training asks for them."""
    count = learner.batching.steps(epoch) - first if steps is None else steps
    return learner.batching.deal(epoch, [Controls(lr)] * count, first)


def stream(learner: Learner, epoch: int = 0, first: int = 0) -> Any:
    """The augmented batches as a data set of tensors."""
    return learner.engine._dataset(dealt(learner, epoch, first))


def batches(learner: Learner, epoch: int = 0, first: int = 0) -> list[Batch]:
    """The same as arrays."""
    return [tuple(part.numpy() for part in batch) for batch in stream(learner, epoch, first)]


def train(learner: Learner, steps: int, lr: float = 0.1) -> list[Batch]:
    """Takes the first steps of an epoch, and returns the batches that they showed."""
    learner.engine.run(dealt(learner, 0, 0, steps, lr), [])
    return batches(learner)[:steps]
