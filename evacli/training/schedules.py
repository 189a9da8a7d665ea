"""Learning-rate schedules: pure functions of progress, each giving a factor of the peak learning rate.

Progress runs from 0 at the first step to 1 at the last one of the whole training.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial

from evacli.config import Config

Schedule = Callable[[float], float]

# Shares of the training after which `step` divides the rate.
DROPS = (0.5, 0.75)
DROP_FACTOR = 10.0
# A cyclical schedule without a lower bound.
CYCLE_LOW = 0.1


def constant(progress: float) -> float:
    """The peak rate throughout."""
    return 1.0


def step(progress: float, divisor: float = DROP_FACTOR) -> float:
    """Divided by `divisor` after half and three quarters of the training (He et al. 2015, arXiv 1512.03385)."""
    return divisor ** -_drops(progress)


def _drops(progress: float) -> int:
    return sum(progress >= drop for drop in DROPS)


def grown_batch(share: float, batch_size: int, largest: int, divisor: float = DROP_FACTOR) -> tuple[int, float]:
    """What `step` becomes when it raises the batch size instead of lowering the rate.

    Smith et al. 2017 (arXiv 1711.00489): noise goes with rate / batch size, so multiplying the batch size by what
    would divide the rate leaves it the same. Where the batch can no longer grow, the rate takes the rest.

    Args:
        share: of the epochs that are over.
        batch_size: in the first epoch.
        largest: no batch is larger.
        divisor: of `step`.

    Returns:
        The batch size and the factor of the peak rate; factor / batch size is `step(share) / batch_size`.
    """
    wanted = batch_size * divisor ** _drops(share)
    size = min(int(wanted), largest)
    return size, size / wanted


def linear(progress: float) -> float:
    """Falls in a line from the peak to zero."""
    return 1 - progress


def exponential(progress: float, final: float = 1e-3) -> float:
    """Falls by the same ratio every step, down to `final`."""
    return float(final**progress)


def cosine(progress: float) -> float:
    """Half a cosine from the peak to zero (Loshchilov & Hutter 2016, arXiv 1608.03983, without restarts)."""
    return (1 + math.cos(math.pi * progress)) / 2


# Heights of the triangles of `cyclical`, by the cycles that are over and by progress. The policies of Smith 2015;
# exp-range falls, as there, by a small factor each step, here to a tenth at the end of the training.
HEIGHTS: dict[str, Callable[[int, float], float]] = {
    "triangular": lambda over, progress: 1.0,
    "triangular2": lambda over, progress: 0.5**over,
    "exp-range": lambda over, progress: exponential(progress, final=0.1),
}


def cyclical(progress: float, cycles: int = 4, low: float = CYCLE_LOW, cycle: str = "triangular") -> float:
    """Triangles between `low` and the peak (Smith 2015, arXiv 1506.01186)."""
    over, position = divmod(progress * cycles, 1)
    return low + (1 - low) * (1 - abs(2 * position - 1)) * HEIGHTS[cycle](int(over), progress)


def one_cycle(progress: float, warm_up: float = 0.25, low: float = 0.04, final: float = 1e-5) -> float:
    """Rises by a half cosine from `low` to 1 over `warm_up`, then falls by one to `final`.

    Smith & Topin 2017 (arXiv 1708.07120), with the cosine shape and the constants that fastai made customary.
    """
    if progress < warm_up:
        return _between(low, 1, progress / warm_up)
    return _between(1, final, (progress - warm_up) / (1 - warm_up)) if warm_up < 1 else 1.0


def one_cycle_momentum(progress: float, warm_up: float = 0.25, high: float = 0.95, low: float = 0.85) -> float:
    """Moves against the rate of `one_cycle`: low where that is high, with fastai's constants."""
    if progress < warm_up:
        return _between(high, low, progress / warm_up)
    return _between(low, high, (progress - warm_up) / (1 - warm_up)) if warm_up < 1 else low


def _between(start: float, end: float, share: float) -> float:
    return end + (start - end) * cosine(share)


def plateau(losses: Sequence[float], patience: int = 5, factor: float = 0.5, threshold: float = 1e-4) -> float:
    """The factor after epochs with these `losses`: cut whenever `patience` epochs brought no new low.

    A function of the whole history, so a resumed run needs no state of its own to go on exactly.
    """
    scale, low, waited = 1.0, math.inf, 0
    for loss in losses:
        low, waited = (loss, 0) if loss < low - threshold else (low, waited + 1)
        if waited >= patience:
            scale, waited = scale * factor, 0
    return scale


def ramp(progress: float, warm_up: float, low: float = 0.04) -> float:
    """Rises in a line from `low` to 1 over `warm_up`, a share of the training (Goyal et al. 2017, arXiv 1706.02677)."""
    return low + (1 - low) * progress / warm_up if progress < warm_up else 1.0


# Each schedule with what the configuration says of it; `low` is the lower end of its rates, a share of the peak.
SCHEDULES: dict[str, Callable[[Config, float | None], Schedule]] = {
    "constant": lambda config, low: constant,
    "step": lambda config, low: partial(step, divisor=divisor(config)),
    "linear": lambda config, low: linear,
    "exponential": lambda config, low: exponential,
    "cosine": lambda config, low: cosine,
    "cyclical": lambda config, low: partial(
        cyclical, cycles=config.cycles or 4, low=low or CYCLE_LOW, cycle=config.cycle or "triangular"
    ),
    "one-cycle": lambda config, low: partial(one_cycle, warm_up=warm_up(config), low=low or 0.04),
}


def factor_at(
    config: Config,
    progress: float,
    losses: Sequence[float] = (),
    low: float | None = None,
    grown: float | None = None,
) -> float:
    """The factor of the peak rate under the configured schedule.

    Args:
        config: names the schedule and its options.
        progress: of the whole training, 0 to 1.
        losses: those of the finished epochs, for `plateau`.
        low: the lower end of the rates as a share of the peak, for the schedules that have one; None: their own.
        grown: the factor that goes with a grown batch, in place of that of `step`.
    """
    if config.schedule == "one-cycle":
        return SCHEDULES["one-cycle"](config, low)(progress)  # warms up by itself
    return ramp(progress, warm_up(config)) * _after_warm_up(config, progress, losses, low, grown)


def _after_warm_up(
    config: Config, progress: float, losses: Sequence[float], low: float | None, grown: float | None
) -> float:
    if grown is not None:
        return grown
    return plateau(losses) if config.schedule == "plateau" else SCHEDULES[config.schedule](config, low)(progress)


def warm_up(config: Config) -> float:
    """The share of the training over which the rate rises."""
    if config.warmup_epochs is None:
        return 0.25 if config.schedule == "one-cycle" else 0.0
    return config.warmup_epochs / config.epochs


def divisor(config: Config) -> float:
    """What `step` divides the rate by."""
    return config.drop_factor or DROP_FACTOR
