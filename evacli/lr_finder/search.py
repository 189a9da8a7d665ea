"""The search for a learning rate by short trainings: pure functions of what each of them came to.

One batch at each rate says little where batches differ more than the loss falls, and a rate that the untrained network
bears for a step may be far from what the training wants. So a few rates near the one that a sweep suggests are tried
in trainings of a few dozen steps, each under the whole schedule and from the same start. `examples/lr_regret.py` tells
what that is worth, and how the constants here were found.
"""

import math
from collections.abc import Callable, Sequence
from statistics import geometric_mean

from evacli.lr_finder.suggest import Choice
from evacli.run.lr_result import ShortTraining

# Half decades first, downhill to the lowest loss, then quarter decades on both sides of it.
COARSE, FINE = 10**0.5, 10**0.25
# Rates do about as well as the best whose losses fell by all but this share of its fall.
ALIKE = 0.1
# Losses that differ by a smaller share of the first one are those of a network that did not move.
INDIFFERENT = 1e-4


def search(
    train: Callable[[float], ShortTraining], centre: float, most: int, limits: tuple[float, float]
) -> list[ShortTraining]:
    """Train at rates around one that is guessed, and downhill from there.

    Args:
        train: at a rate.
        centre: where to begin.
        most: how many trainings.
        limits: between which rates.

    Returns:
        The trainings, by rising rate.
    """
    tried: dict[float, ShortTraining] = {}

    def at(lr: float) -> bool:
        """Train at a rate, if that is allowed and none of those before."""
        known = any(math.isclose(lr, other, rel_tol=0.01) for other in tried)
        if known or len(tried) == most or not limits[0] <= lr <= limits[1]:
            return False
        tried[lr] = train(lr)
        return True

    centre = min(max(centre, limits[0]), limits[1])
    for factor in (1, 1 / COARSE, COARSE):
        at(centre * factor)
    while (lr := _downhill(list(tried.values()))) and at(lr):
        pass
    if best := _best(list(tried.values())):
        for factor in (1 / FINE, FINE):
            at(best.lr * factor)
    return [tried[lr] for lr in sorted(tried)]


def _best(trainings: Sequence[ShortTraining]) -> ShortTraining | None:
    ended = [(one.loss, one.lr, one) for one in trainings if one.loss is not None]
    return min(ended)[-1] if ended else None


def _downhill(trainings: Sequence[ShortTraining]) -> float | None:
    """Return the rate beyond the end at which the best one lies; None where it lies between others."""
    rates, best = [one.lr for one in trainings], _best(trainings)
    if best is None or best.lr == min(rates):
        return min(rates) / COARSE
    return max(rates) * COARSE if best.lr == max(rates) else None


def choose(trainings: Sequence[ShortTraining]) -> Choice | None:
    """Return the geometric mean of the rates that did about as well as the best.

    Args:
        trainings: by rising rate.

    Returns:
        None where nothing was learnt: no loss fell, or none of the rates made a difference.

    Example:
        >>> losses = 2.0, 1.52, 1.5, 1.8
        >>> choose([ShortTraining(lr=lr, steps=33, began=2.3, loss=l) for lr, l in zip((0.1, 0.2, 0.4, 0.8), losses)])
        Choice(lr=0.28284271247461906, low=0.2, high=0.4)
    """
    best = _best(trainings)
    if best is None or best.loss is None or best.began is None:
        return None
    ended = [(one.lr, one.loss) for one in trainings if one.loss is not None]
    indifferent = len(ended) > 1 and max(loss for _, loss in ended) - best.loss < INDIFFERENT * abs(best.began)
    if best.loss >= best.began or indifferent:
        return None
    limit = best.loss + ALIKE * (best.began - best.loss)
    alike = [lr for lr, loss in ended if loss <= limit]
    return Choice(geometric_mean(alike), alike[0], alike[-1])
