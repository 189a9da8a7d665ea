"""How the images of an epoch are dealt into batches, and batches into updates: pure functions of the configuration."""

from dataclasses import dataclass

from evacli.config import Config
from evacli.training import schedules

# What is held in memory at once when an update takes all images.
PART = 128


@dataclass(frozen=True)
class Batching:
    """Counts batches.

    Attributes:
        config: says how large they are.
        num_images: in an epoch.
    """

    config: Config
    num_images: int

    def size(self, epoch: int) -> int:
        """Images in a batch of `epoch`, counted from 0."""
        return self._grown(epoch)[0]

    def rate_factor(self, epoch: int) -> float | None:
        """The factor of the peak rate in an epoch, where it follows from the size of the batch."""
        return None if self.config.grow_batch is None else self._grown(epoch)[1]

    def _grown(self, epoch: int) -> tuple[int, float]:
        c = self.config
        if c.batch_size == "full":
            return min(PART, self.num_images), 1.0
        if c.grow_batch is None:
            return min(c.batch_size, self.num_images), 1.0
        largest = max(c.batch_size, min(c.grow_batch, self.num_images))
        return schedules.grown_batch(epoch / c.epochs, c.batch_size, largest, schedules.divisor(c))

    def steps(self, epoch: int) -> int:
        """Batches in an epoch, the last one perhaps smaller."""
        return -(-self.num_images // self.size(epoch))

    def steps_before(self, epoch: int) -> int:
        """Batches in all epochs before this one."""
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

    def progress(self, step: int) -> float:
        """How much of the training is over in step `step`, counted from 0: 0 in the first update, 1 in the last."""
        updates = self.steps_before(self.config.epochs) // self.accumulated
        return (step // self.accumulated) / max(updates - 1, 1)
