"""What four other projects read off the curve of a range test, written anew after their published source.

Each takes the learning rates and the raw losses of a sweep, stops where that project would have stopped, smooths and
skips as it does, and answers with a rate of the sweep.
"""

from collections.abc import Sequence

import numpy as np

from evacli.lr_finder.suggest import smooth


def _of_fastai(rates: Sequence[float], losses: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """fastai/fastai, fastai/callback/schedule.py: what `LRFinder` records and `lr_find` passes on to its four rules.

    Smooths like evacli (beta 0.98 with bias correction), stops above four times the best, skips 10 and 5 steps.
    """
    smoothed = smooth(_until_above(losses, smooth(losses), 4))[10:-5]
    return np.array(rates[10 : 10 + len(smoothed)]), np.array(smoothed)


def fastai_valley(rates: Sequence[float], losses: Sequence[float]) -> float:
    """The default: one and a half thirds of the longest falling subsequence behind its start.

    That start is the end minus the length, which is later than where a subsequence with gaps begins.
    """
    tried, seen = _of_fastai(rates, losses)
    longest = [1] * len(seen)
    end = 0
    for i in range(1, len(seen)):
        longest[i] = 1 + max((longest[j] for j in range(i) if seen[j] > seen[i]), default=0)
        if longest[i] > longest[end]:
            end = i
    start = end - longest[end] if end else 0
    third = (end - start) / 3
    return float(tried[start + int(third) + int(third / 2)])


def fastai_minimum(rates: Sequence[float], losses: Sequence[float]) -> float:
    """A tenth of the rate with the lowest loss."""
    tried, seen = _of_fastai(rates, losses)
    return float(tried[seen.argmin()]) / 10


def fastai_steep(rates: Sequence[float], losses: Sequence[float]) -> float:
    """Where the next loss is lower by most, along the logarithm of the rate."""
    tried, seen = _of_fastai(rates, losses)
    return float(tried[(np.diff(seen) / np.diff(np.log(tried))).argmin()])


def fastai_slide(rates: Sequence[float], losses: Sequence[float], apart: int = 15, alike: float = 0.005) -> float:
    """From the end down, the first step of an interval of 15 whose ends see the loss fall equally fast."""
    tried, seen = _of_fastai(rates, losses)
    slopes = np.gradient(seen)
    for high in range(len(seen) - 1, apart - 1, -1):
        if abs(slopes[high] - slopes[high - apart]) <= alike:
            return float(tried[min(high - apart + 1, len(seen) - 1 - apart)])
    return float(tried[0])


def lightning(rates: Sequence[float], losses: Sequence[float]) -> float:
    """Lightning-AI/pytorch-lightning, src/lightning/pytorch/tuner/lr_finder.py: `_LRFinder.suggestion`.

    Smooths like evacli, stops above four times the best, skips 10 steps and one; the steepest fall along the rate
    itself, not along its logarithm.
    """
    smoothed = smooth(_until_above(losses, smooth(losses), 4))[10:-1]
    tried = rates[10 : 10 + len(smoothed)]
    return tried[int(np.gradient(smoothed, tried).argmin())]


def keras_lr_finder(rates: Sequence[float], losses: Sequence[float], sma: int = 20) -> float:
    """surmenok/keras_lr_finder, keras_lr_finder/lr_finder.py: `LRFinder.on_batch_end` and `get_best_lr`.

    No smoothing of the losses: it stops when, after the sixth, one is four times the best, and takes the steepest
    difference over `sma` steps. That has no default; 20 is the README's. Skips 10 and 5 steps.
    """
    losses = _until_above(losses, losses, 4, first=6)
    changes = [0.0] * sma + [(b - a) / sma for a, b in zip(losses, losses[sma:], strict=False)]
    return rates[10 + int(np.argmin(changes[10:-5]))]


def torch_lr_finder(rates: Sequence[float], losses: Sequence[float]) -> float:
    """davidtvs/pytorch-lr-finder, torch_lr_finder/lr_finder.py: `LRFinder.range_test` and `plot`.

    An exponential average that begins with the first loss and takes 0.05 of each new one; stops above five times its
    best; the steepest gradient after skipping 10 and 5 steps.
    """
    smoothed = [losses[0]]
    for loss in losses[1:]:
        smoothed.append(0.05 * loss + 0.95 * smoothed[-1])
    smoothed = _until_above(smoothed, smoothed, 5)
    return rates[10 + int(np.gradient(smoothed[10:-5]).argmin())]


def _until_above(values: Sequence[float], judged: Sequence[float], factor: float, first: int = 1) -> list[float]:
    """`values` up to and with the first step at which `judged` exceeds `factor` times its best so far."""
    best = judged[0]
    for i, loss in enumerate(judged):
        if i >= first and loss > factor * best:
            return list(values[: i + 1])
        best = min(best, loss)
    return list(values)


RIVALS = {
    "fastai valley": fastai_valley,
    "fastai minimum": fastai_minimum,
    "fastai steep": fastai_steep,
    "fastai slide": fastai_slide,
    "keras_lr_finder": keras_lr_finder,
    "torch-lr-finder": torch_lr_finder,
    "Lightning": lightning,
}
