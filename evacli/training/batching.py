"""How the images of an epoch are dealt into batches, and batches into updates: pure functions of the configuration."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from evacli.catalogue.schedules import DROP_FACTOR, grown_batch
from evacli.config import Config
from evacli.engine.base import Batches, Controls

# What is held in memory at once when an update takes all images.
PART = 128
_MIRRORING = 2**31  # beside the seed, where the order of an epoch has the number of the epoch


@dataclass(frozen=True)
class Batching:
    """Deals images and counts batches.

    Attributes:
        config: says how large batches are.
        num_images: in an epoch.
    """

    config: Config
    num_images: int

    def size(self, epoch: int) -> int:
        """Return how many images a batch of `epoch` has, counted from 0."""
        return self._grown(epoch)[0]

    def rate_factor(self, epoch: int) -> float | None:
        """Return the factor of the peak rate in an epoch, where it follows from the size of the batch."""
        return None if self.config.grow_batch is None else self._grown(epoch)[1]

    def _grown(self, epoch: int) -> tuple[int, float]:
        c, size = self.config, self.config.largest_batch
        if size == "full":
            return min(PART, self.num_images), 1.0
        if c.grow_batch is None:
            return min(size, self.num_images), 1.0
        largest = max(size, min(c.grow_batch, self.num_images))
        return grown_batch(epoch / c.epochs, size, largest, c.drop_factor or DROP_FACTOR)

    def steps(self, epoch: int) -> int:
        """Count the batches of an epoch, the last one perhaps smaller."""
        return -(-self.num_images // self.size(epoch))

    def steps_before(self, epoch: int) -> int:
        """Count the batches of all epochs before this one."""
        if self.config.grow_batch is None:
            return epoch * self.steps(0)
        return sum(map(self.steps, range(epoch)))

    @property
    def fewest_steps(self) -> int:
        """Batches in the epoch that has the fewest: batches only grow."""
        return self.steps(self.config.epochs - 1)

    @property
    def accumulated(self) -> int:
        """How many batches make one update."""
        return self.steps(0) if self.config.batch_size == "full" else 1

    def share(self, step: int) -> float:
        """Return how much of the training is over in step `step`, from 0: 0 in the first update, 1 in the last."""
        return (step // self.accumulated) / max(self._updates - 1, 1)

    @cached_property
    def _updates(self) -> int:
        return self.steps_before(self.config.epochs) // self.accumulated

    @property
    def full_steps(self) -> int:
        """Batches of an epoch that a range test takes: the full ones.

        A smaller last one would be noisier than the others, and would have its step traced anew; but where all images
        make one update, it has its part in it.
        """
        return self.accumulated if self.accumulated > 1 else max(1, self.num_images // self.size(0))

    def deal(self, epoch: int, controls: Sequence[Controls], first: int = 0) -> Batches:
        """Deal batches of an epoch, one for each of `controls`.

        Order and augmentation are functions of (seed, epoch, batch) alone, so that an interrupted epoch goes on with
        exactly the batches that it would have had.

        Args:
            epoch: counted from 0.
            controls: what steers each step.
            first: how many batches of the epoch to leave out.

        Example:
            >>> Batching(Config(batch_size=32), 100).deal(0, [Controls(0.1)], first=3).indices.shape
            (4,)
        """
        size = self.size(epoch)
        order = np.random.default_rng([self.config.seed, epoch]).permutation(self.num_images)
        shown = order[first * size : (first + len(controls)) * size]
        # No two batches of a training share a number: batches only grow, so the first epoch has the most.
        numbers = epoch * self.steps(0) + np.arange(first, first + len(controls))
        return Batches(shown, self._mirrored(epoch)[shown], size, numbers, controls, epoch)

    def _mirrored(self, epoch: int) -> NDArray[np.bool_]:
        """Return (N,): half of the images at random, and in the next epoch the other half.

        Jordan 2024 (arXiv 2404.00498), section 3.6: so two epochs show each image both ways, where chance would show
        half of them twice the same way.
        """
        first = np.random.default_rng([self.config.seed, _MIRRORING]).random(self.num_images) < 0.5
        return first if epoch % 2 == 0 else ~first
