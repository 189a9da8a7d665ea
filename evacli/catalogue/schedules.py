"""The schedule specifications: pure functions of the moment, each giving a factor of the peak learning rate."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

# Shares of the training after which `step` divides the rate.
DROPS = (0.5, 0.75)
DROP_FACTOR = 10.0
# A cyclical and a one-cycle schedule without a lower bound.
CYCLE_LOW, ONE_CYCLE_LOW = 0.1, 0.04
# `plateau` cuts the rate by this whenever so many epochs brought no new low, by so much at least.
PATIENCE, PLATEAU_FACTOR, THRESHOLD = 5, 0.5, 1e-4


class Moment(NamedTuple):
    """What a schedule may look at.

    Attributes:
        share: of the training that is over, from 0 at the first step to 1 at the last one of the whole training.
        losses: what each finished epoch came to.
        low: the lower end of the rates, a share of the peak; None: the schedule's own.
        warm_up: the share of the training over which the rate rises.
        cycles: how many `cyclical` has.
        cycle: what becomes of their height; one of `HEIGHTS`.
        divisor: of `step`.
    """

    share: float
    losses: Sequence[float] = ()
    low: float | None = None
    warm_up: float = 0.25
    cycles: int = 4
    cycle: str = "triangular"
    divisor: float = DROP_FACTOR


def constant(at: Moment) -> float:
    """Keep the peak rate throughout."""
    return 1.0


def step(at: Moment) -> float:
    """Divide by `divisor` after half and three quarters of the training (He et al. 2015, arXiv 1512.03385)."""
    return at.divisor ** -_drops(at.share)


def _drops(share: float) -> int:
    return sum(share >= drop for drop in DROPS)


def grown_batch(share: float, batch_size: int, largest: int, divisor: float = DROP_FACTOR) -> tuple[int, float]:
    """Raise the batch size where `step` would lower the rate.

    Smith et al. 2017 (arXiv 1711.00489): noise goes with rate / batch size, so multiplying the batch size by what
    would divide the rate leaves it the same. Where the batch can no longer grow, the rate takes the rest.

    Args:
        share: of the epochs that are over.
        batch_size: in the first epoch.
        largest: no batch is larger.
        divisor: of `step`.

    Returns:
        The batch size and the factor of the peak rate; factor / batch size is that of `step` / `batch_size`.

    Example:
        >>> grown_batch(0.5, 128, 1000, 10.0)
        (1000, 0.78125)
    """
    wanted = batch_size * divisor ** _drops(share)
    size = min(int(wanted), largest)
    return size, size / wanted


def linear(at: Moment) -> float:
    """Fall in a line from the peak to zero."""
    return 1 - at.share


def exponential(at: Moment) -> float:
    """Fall by the same ratio every step, down to a thousandth."""
    return _decay(at.share, 1e-3)


def _decay(share: float, final: float) -> float:
    return float(final**share)


def cosine(at: Moment) -> float:
    """Fall by half a cosine from the peak to zero (Loshchilov & Hutter 2016, arXiv 1608.03983, without restarts)."""
    return _half_cosine(at.share)


def _half_cosine(share: float) -> float:
    return (1 + math.cos(math.pi * share)) / 2


# Heights of the triangles of `cyclical`, by the cycles that are over and by share. The policies of Smith 2015;
# exp-range falls, as there, by a small factor each step, here to a tenth at the end of the training.
HEIGHTS: dict[str, Callable[[int, float], float]] = {
    "triangular": lambda over, share: 1.0,
    "triangular2": lambda over, share: 0.5**over,
    "exp-range": lambda over, share: _decay(share, 0.1),
}


def cyclical(at: Moment) -> float:
    """Go up and down in triangles between `low` and the peak (Smith 2015, arXiv 1506.01186)."""
    low = at.low or CYCLE_LOW
    over, position = divmod(at.share * at.cycles, 1)
    return low + (1 - low) * (1 - abs(2 * position - 1)) * HEIGHTS[at.cycle](int(over), at.share)


def one_cycle(at: Moment) -> float:
    """Rise by a half cosine from `low` to 1 over `warm_up`, then fall by one to 1e-5.

    Smith & Topin 2017 (arXiv 1708.07120), with the cosine shape and the constants that fastai made customary.
    """
    return _up_and_down(at, at.low or ONE_CYCLE_LOW, 1, 1e-5)


def one_cycle_momentum(at: Moment) -> float:
    """Move against the rate of `one_cycle`: 0.85 where that is high, else 0.95, fastai's constants."""
    return _up_and_down(at, 0.95, 0.85, 0.95)


def _up_and_down(at: Moment, start: float, middle: float, end: float) -> float:
    if at.share < at.warm_up:
        return _between(start, middle, at.share / at.warm_up)
    return _between(middle, end, (at.share - at.warm_up) / (1 - at.warm_up)) if at.warm_up < 1 else middle


def _between(start: float, end: float, share: float) -> float:
    return end + (start - end) * _half_cosine(share)


def plateau(at: Moment) -> float:
    """Cut the rate whenever `PATIENCE` epochs brought no new low.

    A function of the whole history, so a resumed run needs no state of its own to go on exactly.
    """
    scale, low, waited = 1.0, math.inf, 0
    for loss in at.losses:
        low, waited = (loss, 0) if loss < low - THRESHOLD else (low, waited + 1)
        if waited >= PATIENCE:
            scale, waited = scale * PLATEAU_FACTOR, 0
    return scale


def ramp(share: float, warm_up: float, low: float = 0.04) -> float:
    """Rise in a line from `low` to 1 over `warm_up`, a share of the training (Goyal et al. 2017, arXiv 1706.02677)."""
    return low + (1 - low) * share / warm_up if share < warm_up else 1.0


class ScheduleSpec(NamedTuple):
    """Describe a schedule.

    Attributes:
        factor: of the peak rate, at each moment.
        warms_up: whether it warms up by itself; else a `ramp` goes before it where the configuration says so.
        own_warm_up: the share of a training over which it rises where nothing else is said.
    """

    factor: Callable[[Moment], float]
    warms_up: bool = False
    own_warm_up: float = 0.0


SCHEDULES: dict[str, ScheduleSpec] = {
    "constant": ScheduleSpec(constant),
    "step": ScheduleSpec(step),
    "linear": ScheduleSpec(linear),
    "exponential": ScheduleSpec(exponential),
    "cosine": ScheduleSpec(cosine),
    "plateau": ScheduleSpec(plateau),
    "cyclical": ScheduleSpec(cyclical),
    "one-cycle": ScheduleSpec(one_cycle, warms_up=True, own_warm_up=0.25),
}


def factor(name: str, at: Moment, grown: float | None = None) -> float:
    """Return the factor of the peak rate under the schedule `name`.

    Args:
        name: one of `SCHEDULES`.
        at: the moment.
        grown: the factor that goes with a grown batch, in place of the schedule's.

    Example:
        >>> factor("cosine", Moment(share=0.5, warm_up=0.0))
        0.5
    """
    spec = SCHEDULES[name]
    if spec.warms_up:
        return spec.factor(at)
    return ramp(at.share, at.warm_up) * (spec.factor(at) if grown is None else grown)
