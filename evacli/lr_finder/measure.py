"""What a network's losses are at a learning rate, measured without leaving a trace on the network.

A *sweep* is Smith's range test (2015, arXiv 1506.01186, section 3.3): one step at each rate, from low to high. A *short
training* has one peak rate and the whole schedule of the training to come, in a few dozen steps. All begin with the
weights that the learner has, and all short trainings see the same batches: so what tells them apart is the rate.
"""

import math
from collections.abc import Callable, Sequence
from statistics import fmean
from typing import TYPE_CHECKING

from evacli.engine.base import Controls, Figures
from evacli.lr_finder.suggest import Watch
from evacli.run.lr_result import Curve, ShortTraining
from evacli.training.rate_control import RateControl

if TYPE_CHECKING:
    from evacli.training.learner import Learner

Advance = Callable[[], object]  # told of each update
LAST = 0.2  # the share of a short training's steps whose losses tell how far it came


def sweep(learner: "Learner", learning_rates: Sequence[float], advance: Advance = lambda: None) -> Curve:
    """Train one batch at each learning rate, until the loss explodes, and put everything back.

    Batches come in the order of the training, those of the next epochs where one has too few. Only full ones count.

    Returns:
        The loss of each single batch, before its step: what training minimises, penalties included.
    """
    parts = learner.batching.accumulated
    controls = [Controls(rate) for rate in learning_rates for _ in range(parts)]
    watch = Watch()
    losses = _losses(learner, controls, lambda loss: watch.stop(loss) is not None, advance)
    return Curve(learning_rates=list(learning_rates[: len(losses)]), losses=losses)


def train_briefly(learner: "Learner", lr: float, updates: int, advance: Advance = lambda: None) -> ShortTraining:
    """Train for so few updates under the whole schedule with this peak rate, and put everything back."""
    controls = RateControl(learner.batching, lr).squeezed(updates)
    losses = _losses(learner, controls, lambda loss: not math.isfinite(loss), advance)
    came_to = fmean(losses[-max(1, round(LAST * updates)) :])
    return ShortTraining(lr=lr, steps=updates, began=_finite(losses[0]), loss=_finite(came_to))


def _finite(loss: float) -> float | None:
    return loss if math.isfinite(loss) else None


class _Enough(Exception):
    """What was to be seen has been seen."""


class _Losses:
    """Collects the loss of every update, until they tell enough."""

    every = 10  # what is taken beyond the end is put back with the rest

    def __init__(self, parts: int, enough: Callable[[float], bool], advance: Advance) -> None:
        self._parts, self._enough, self._advance = parts, enough, advance
        self._of_update: list[float] = []
        self.seen: list[float] = []

    def after(self, figures: Figures) -> None:
        """Note the losses; raise _Enough with the one that is enough."""
        for loss in figures.losses:
            self._of_update.append(loss)
            if len(self._of_update) == self._parts:
                self.seen.append(sum(self._of_update) / self._parts)
                self._of_update = []
                self._advance()
                if self._enough(self.seen[-1]):
                    raise _Enough


def _losses(
    learner: "Learner", controls: Sequence[Controls], enough: Callable[[float], bool], advance: Advance
) -> list[float]:
    """Take these steps, return the loss of each update before it, and put everything back."""
    batching, engine = learner.batching, learner.engine
    used, before = batching.full_steps, engine.state()
    losses = _Losses(batching.accumulated, enough, advance)
    try:
        for epoch in range(-(-len(controls) // used)):
            engine.run(batching.deal(epoch, controls[epoch * used : (epoch + 1) * used]), [losses])
    except _Enough:
        pass
    finally:
        engine.restore(before)
    return losses.seen
