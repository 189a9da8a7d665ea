"""Moments at which a training is stopped: for `stop_when`."""

import os
import signal
from collections.abc import Callable

from evacli.training.hooks import Reached

StopWhen = Callable[[Reached], bool]


def stop_in_step(step: int) -> StopWhen:
    """Lets Ctrl-C be pressed during a step, counted from where the training begins or goes on."""
    done = 0

    def press(reached: Reached) -> bool:
        nonlocal done
        done += reached.loss is not None
        if done == step and reached.loss is not None:
            os.kill(os.getpid(), signal.SIGINT)
        return False

    return press


def stop_after_epoch(epoch: int) -> StopWhen:
    """Stops after an epoch has been saved."""
    return lambda reached: reached.loss is None and len(reached.rows) == epoch
