"""Learning-rate schedules: pure functions of progress, each giving a factor of the peak learning rate.

Progress runs from 0 at the first step to 1 at the last one of the whole training.
"""

import math
from collections.abc import Callable, Sequence

Schedule = Callable[[float], float]


def constant(progress: float) -> float:
    """The peak rate throughout."""
    return 1.0


def step(progress: float, drops: Sequence[float] = (0.5, 0.75), factor: float = 0.1) -> float:
    """Multiplied by `factor` after half and three quarters of the training (He et al. 2015, arXiv 1512.03385)."""
    return factor ** sum(progress >= drop for drop in drops)


def exponential(progress: float, final: float = 1e-3) -> float:
    """Falls by the same ratio every step, down to `final`."""
    return float(final**progress)


def cosine(progress: float) -> float:
    """Half a cosine from the peak to zero (Loshchilov & Hutter 2016, arXiv 1608.03983, without restarts)."""
    return (1 + math.cos(math.pi * progress)) / 2


def cyclical(progress: float, cycles: int = 4, low: float = 0.1) -> float:
    """Triangles between `low` and the peak (Smith 2015, arXiv 1506.01186, "triangular")."""
    position = (progress * cycles) % 1
    return low + (1 - low) * (1 - abs(2 * position - 1))


def one_cycle(progress: float, warm_up: float = 0.25, div: float = 25, final_div: float = 1e5) -> float:
    """Rises by a half cosine from 1/div to 1 over `warm_up`, then falls by one to 1/final_div.

    Smith & Topin 2017 (arXiv 1708.07120), with the cosine shape and the constants that fastai made customary.
    """
    if progress < warm_up:
        return _between(1 / div, 1, progress / warm_up)
    return _between(1, 1 / final_div, (progress - warm_up) / (1 - warm_up))


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


SCHEDULES: dict[str, Schedule] = {
    "constant": constant,
    "step": step,
    "exponential": exponential,
    "cosine": cosine,
    "cyclical": cyclical,
    "one-cycle": one_cycle,
}


def factor_at(name: str, progress: float, losses: Sequence[float] = ()) -> float:
    """The factor of the peak rate under the named schedule; `losses` are those of the finished epochs."""
    return plateau(losses) if name == "plateau" else SCHEDULES[name](progress)
