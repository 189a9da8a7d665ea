"""The protocol between a training and what computes it: no TensorFlow.

An engine is asked for stretches of many steps, not for single ones. All that a step needs from outside is said before:
which images it shows, and its learning rate and momentum. Who wants to look in between is a hook, and says how many
steps an engine may take without asking it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from evacli.config import Config
from evacli.data.images import Images

Arrays = dict[str, list[NDArray[Any]]]
Precision = Literal["float32", "bfloat16", "float16"]
View = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
# From a few (B, H, W, 3) images, at most `batch_size` of them, to their (B, C) class probabilities.
Predictor = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
# Shown the embeddings of a few images, (B, D) vectors of length 1: near where a network takes images to be alike.
Look = Callable[[NDArray[np.float32]], None]


class Controls(NamedTuple):
    """What steers a step: its learning rate and, where a schedule moves it, its momentum."""

    lr: float
    momentum: float | None = None


@dataclass(frozen=True)
class Batches:
    """The batches of a stretch of training.

    Attributes:
        indices: (M,) which images are shown, in their order.
        mirrored: (M,) whether each is mirrored left to right, if images are.
        size: images in a batch; the last one may have fewer.
        numbers: one for each batch; with the seed of the training it settles how the batch is augmented.
        controls: one for each batch.
        epoch: of the training, counted from 0.
    """

    indices: NDArray[np.int64]
    mirrored: NDArray[np.bool_]
    size: int
    numbers: NDArray[np.int64]
    controls: Sequence[Controls]
    epoch: int = 0

    def __len__(self) -> int:
        return len(self.numbers)


class Figures(NamedTuple):
    """What the last steps came to.

    Attributes:
        losses: of each step that no hook has seen, before the step: what training minimises, penalties included.
        lr: the learning rate of the last of them.
        cross_entropy: mean over the stretch so far, without penalties.
        accuracy: mean over the stretch so far, a share of 1.
    """

    losses: Sequence[float]
    lr: float
    cross_entropy: float
    accuracy: float


class Hook(Protocol):
    """Looks at a training between steps; what it raises ends the stretch."""

    @property
    def every(self) -> int:
        """After how many steps it wants to be asked at the latest; it may be asked sooner."""

    def after(self, figures: Figures) -> None:
        """Look at the steps since the last call."""


class EpochFigures(NamedTuple):
    """Means over an epoch, while the network changes: cross-entropy in nats, accuracy as a share of 1."""

    cross_entropy: float
    accuracy: float


@dataclass(frozen=True)
class Plan:
    """What an engine has to know before the first step.

    Attributes:
        config: with every value decided.
        images: those that are learnt from.
        labels: (N,) the class of each.
        fill: (R, G, B) grey levels of what augmentation leaves open; None: what is learnt from is not changed.
        steps_per_epoch: in the epoch that has the fewest.
        accumulated: how many batches make one update.
        class_weights: (C,) how much the loss of an image of each class counts; None: all the same.
        rate_factors: by which factor of the learning rate layers learn, by their names; others by 1.
    """

    config: Config
    images: Images
    labels: NDArray[np.int64]
    fill: tuple[int, int, int] | None
    steps_per_epoch: int
    accumulated: int
    class_weights: NDArray[np.float32] | None = None
    rate_factors: Mapping[str, float] = field(default_factory=dict)


class Engine(Protocol):
    """Trains one network and predicts with any."""

    @property
    def device(self) -> str:
        """What it computes on, for people."""

    @property
    def is_chief(self) -> bool:
        """Whether this process is the one that writes files."""

    def precision(self, wanted: str) -> Precision:
        """Decide what "auto" means on this device."""

    def need(self, network: Any, plan: Plan) -> int:
        """Estimate the bytes of memory that a training takes, beyond its images."""

    def prepare(self, network: Any, plan: Plan) -> None:
        """Get ready to train `network`, a plain Keras model from pixels to probabilities, which stays as it is."""

    def run(self, batches: Batches, hooks: Sequence[Hook]) -> EpochFigures:
        """Take a step for each batch; with none left, return the figures that were restored."""

    def sync(self, network: Any) -> None:
        """Copy what was learnt into the plain network."""

    def state(self) -> Arrays:
        """Copy all that the next step depends on, and the running means ("metrics") of the stretch under way."""

    def restore(self, arrays: Arrays) -> None:
        """Take over what `state` gave; without "metrics" the next stretch begins anew.

        Raises:
            ValueError: naming the group of arrays that is of another network.
        """

    def skipped(self) -> int:
        """Count the steps that were left out because their gradients overflowed, as they may in float16."""

    def asked_to_stop(self) -> int | None:
        """Return the signal with which another process of the training was asked to stop, if one was."""

    def is_sound(self) -> bool:
        """Tell whether all weights, and what the network makes of some images, are finite."""

    def predict(
        self,
        network: Any,
        images: Images,
        views: Sequence[View],
        watch: Callable[[int], None],
        look: Look | None = None,
    ) -> NDArray[np.float32]:
        """Compute class probabilities with a plain network as it is now.

        Args:
            network: from (B, H, W, 3) pixels to (B, C) probabilities.
            images: N of them.
            views: what is shown of each, V functions of blocks (B, H, W, 3).
            watch: told before each block how many images are done; what it raises ends the work.
            look: shown, block after block, the embeddings of the images in the first of the views.

        Returns:
            (V, N, C).
        """

    def predictor(self, network: Any, most: int | None = None) -> Predictor:
        """Get ready to compute class probabilities with a plain network as it is now.

        Args:
            network: from (B, H, W, 3) pixels to (B, C) probabilities.
            most: how many images it will be shown at a time, at most; None: as many as the engine likes best.
        """


def as_it_is(block: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the view of a block that is the block itself."""
    return block


def mirrored(block: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the view of a block that shows each image mirrored left to right."""
    return block[:, :, ::-1]
