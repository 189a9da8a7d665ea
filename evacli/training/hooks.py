"""What happens between two steps of a training; one hook a concern."""

import math
import sys
import time
from collections.abc import Callable
from signal import Signals
from typing import NamedTuple

from evacli.engine.base import Figures
from evacli.errors import Interrupted, Stopped
from evacli.run.history import Row
from evacli.training.display import TrainingDisplay
from evacli.training.signals import StopRequest
from evacli.training.state import TrainingState


class Reached(NamedTuple):
    """How far a training is, for those who decide whether it shall go on.

    Attributes:
        step: finished steps since it began.
        rows: the finished epochs.
        loss: of the last step, penalties included; None between two epochs.
    """

    step: int
    rows: tuple[Row, ...]
    loss: float | None = None


ANY_NUMBER = sys.maxsize  # of steps, for hooks that look at them all together
StopWhen = Callable[[Reached], bool]


class CountSteps:
    """Counts steps, and the seconds that they take."""

    every = ANY_NUMBER

    def __init__(self, state: TrainingState) -> None:
        self._state, self._previous = state, time.monotonic()

    def after(self, figures: Figures) -> None:
        """Move the progress on."""
        now, progress = time.monotonic(), self._state.progress
        taken = now - self._previous
        self._state.advance(batch=progress.batch + len(figures.losses), seconds=progress.seconds + taken)
        self._previous = now


class StopAtDivergence:
    """Ends a training whose loss is not finite."""

    every = ANY_NUMBER

    def __init__(self, state: TrainingState) -> None:
        self._state = state

    def after(self, figures: Figures) -> None:
        """Raise Diverged in that case."""
        if not all(map(math.isfinite, figures.losses)):
            raise self._state.diverged()


class ShowProgress:
    """Moves the progress bars."""

    every = ANY_NUMBER

    def __init__(self, display: TrainingDisplay) -> None:
        self._display = display

    def after(self, figures: Figures) -> None:
        """Show the figures of the last steps."""
        self._display.batch_ends(figures.lr, figures.cross_entropy, figures.accuracy, len(figures.losses))


class HeedSignals:
    """Answers Ctrl-C and its like once everything is saved."""

    every = ANY_NUMBER

    def __init__(self, state: TrainingState, request: StopRequest) -> None:
        self._state, self._request = state, request

    def after(self, figures: Figures) -> None:
        """Leave if a signal asked for it."""
        self.heed()

    def heed(self) -> None:
        """Save everything and raise Interrupted, if a signal asked for it."""
        signum = self._request.signum or self._state.learner.engine.asked_to_stop()
        if signum is not None:
            cause = "Ctrl-C" if signum == Signals.SIGINT else Signals(signum).name
            raise Interrupted(signum, *_stop(self._state, cause))


class StopWhenAsked:
    """Ends a training when its caller says so."""

    def __init__(self, state: TrainingState, condition: StopWhen | None) -> None:
        """Ask `condition`; nobody if there is none."""
        self._state, self._condition = state, condition
        self.every = 1 if condition else ANY_NUMBER

    def after(self, figures: Figures) -> None:
        """Ask after a step."""
        self.ask(figures.losses[-1])

    def ask(self, loss: float | None = None) -> None:
        """Save everything and raise Stopped, if the condition holds."""
        if self._condition and self._condition(Reached(self._state.step, self._state.rows, loss)):
            raise Stopped(*_stop(self._state, "Stopped as asked"))


def _stop(state: TrainingState, cause: str) -> tuple[str, str]:
    """Save everything; return what to say, and how to go on."""
    state.write()
    steps = f"{state.step:,} step{'s' * (state.step != 1)}"
    return f"{cause} after {steps}; everything is saved.", f"Go on with: evacli train{state.run.option}"


class SaveInTime:
    """Saves a training that has not been saved for a while."""

    every = ANY_NUMBER

    def __init__(self, state: TrainingState, minutes: float) -> None:
        self._state, self._seconds = state, minutes * 60

    def after(self, figures: Figures) -> None:
        """Save if it is time."""
        if time.monotonic() - self._state.saved_at > self._seconds:
            self._state.save()
