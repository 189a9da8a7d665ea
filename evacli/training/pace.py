"""Setting the learning rate, and the momentum that moves against it, before each step."""

from collections.abc import Sequence

from evacli.backend import keras
from evacli.engine import optimizers
from evacli.run.history import Row
from evacli.training import schedules
from evacli.training.batching import Batching


class Pace:
    """The configured schedule, applied to an optimizer."""

    def __init__(
        self, optimizer: keras.optimizers.Optimizer, batching: Batching, lr: float, base_lr: float | None
    ) -> None:
        """Between `base_lr` (None: what the schedule has of its own) and the peak `lr`."""
        self.optimizer, self.batching, self.config, self.lr = optimizer, batching, batching.config, lr
        self._low = None if base_lr is None else base_lr / lr
        self._cycled = optimizers.cycled(self.config)

    def set(self, step: int, rows: Sequence[Row]) -> None:
        """Gets ready for step `step`, counted from 0, after the epochs of `rows`."""
        progress = self.batching.progress(step)
        self.optimizer.learning_rate = self.lr * self._factor(progress, rows)
        if self._cycled:
            momentum = schedules.one_cycle_momentum(progress, schedules.warm_up(self.config))
            getattr(self.optimizer, self._cycled).assign(momentum)

    def _factor(self, progress: float, rows: Sequence[Row]) -> float:
        losses = [row.deciding_loss for row in rows if row.deciding_loss is not None]
        grown = self.batching.rate_factor(len(rows))
        return schedules.factor_at(self.config, progress, losses, self._low, grown)
