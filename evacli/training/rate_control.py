"""Learning-rate control: the rate of each step, and the momentum that moves against it, said before the steps."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from evacli.catalogue import schedules
from evacli.catalogue.schedules import DROP_FACTOR, SCHEDULES, Moment
from evacli.config import Config
from evacli.engine.base import Controls
from evacli.engine.hyperparameters import cycled
from evacli.run.history import Row
from evacli.training.batching import Batching

ENOUGH = 2000  # steps of an epoch that tell its highest rate


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
        losses = [row.deciding_loss for row in rows if row.deciding_loss is not None]
        grown = self.batching.rate_factor(len(rows))
        return [self._at(self.batching.share(step), losses, grown) for step in steps]

    def squeezed(self, updates: int) -> list[Controls]:
        """Return what steers each step of a training of so few updates, under the whole schedule."""
        shares = (update / max(updates - 1, 1) for update in range(updates))
        return [self._at(share) for share in shares for _ in range(self.batching.accumulated)]

    def _at(self, share: float, losses: Sequence[float] = (), grown: float | None = None) -> Controls:
        config = self.batching.config
        low = None if self.base_lr is None else self.base_lr / self.lr
        at = moment(config, share, losses, low)
        momentum = schedules.one_cycle_momentum(at) if cycled(config) is not None else None
        return Controls(self.lr * schedules.factor(config.schedule, at, grown), momentum)

    def peaks(self, rows: Sequence[Row]) -> list[float | None]:
        """Return the highest rate of each finished epoch.

        None for an epoch whose last step would have another rate than its row says: it was trained with other
        settings, such as fewer `--epochs`.
        """
        found = []
        for epoch, row in enumerate(rows):
            first, end = map(self.batching.steps_before, (epoch, epoch + 1))
            # From the last one backwards, since that has to be among them; many steps differ by next to nothing.
            steps = range(end - 1, first - 1, -max(1, (end - first) // ENOUGH))
            rates = [controls.lr for controls in self.controls(steps, rows[:epoch])]
            found.append(max(rates) if math.isclose(rates[0], row.lr, rel_tol=1e-6) else None)
        return found


def moment(config: Config, share: float, losses: Sequence[float] = (), low: float | None = None) -> Moment:
    """Return a moment of a training with what the configuration says of its schedule.

    Args:
        config: names the schedule and its options.
        share: of the whole training, 0 to 1.
        losses: those of the finished epochs.
        low: the lower end of the rates as a share of the peak; None: the schedule's own.
    """
    own = SCHEDULES[config.schedule].own_warm_up
    return Moment(
        share=share,
        losses=losses,
        low=low,
        warm_up=own if config.warmup_epochs is None else config.warmup_epochs / config.epochs,
        cycles=config.cycles or 4,
        cycle=config.cycle or "triangular",
        divisor=config.drop_factor or DROP_FACTOR,
    )
