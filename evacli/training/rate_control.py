"""Learning-rate control: the rate of each step, and the momentum that moves against it, said before the steps."""

from collections.abc import Sequence
from dataclasses import dataclass

from evacli.engine.base import Controls
from evacli.engine.hyperparameters import cycled
from evacli.run.history import Row
from evacli.training import schedules
from evacli.training.batching import Batching
from evacli.training.schedules import Moment


@dataclass(frozen=True)
class RateControl:
    """The configured schedule between two rates.

    Attributes:
        batching: says how far a training is in each step.
        lr: the peak.
        base_lr: the lower end; None: what the schedule has of its own.
    """

    batching: Batching
    lr: float
    base_lr: float | None = None

    def controls(self, steps: range, rows: Sequence[Row]) -> list[Controls]:
        """Return what steers `steps` of one epoch, counted from the beginning of the training.

        Args:
            steps: of the epoch under way.
            rows: the finished epochs.
        """
        config = self.batching.config
        losses = [row.deciding_loss for row in rows if row.deciding_loss is not None]
        low = None if self.base_lr is None else self.base_lr / self.lr
        grown = self.batching.rate_factor(len(rows))
        moves = cycled(config) is not None
        found = []
        for step in steps:
            at = Moment.of(config, self.batching.progress(step), losses, low)
            momentum = schedules.one_cycle_momentum(at) if moves else None
            found.append(Controls(self.lr * schedules.factor(config.schedule, at, grown), momentum))
        return found
