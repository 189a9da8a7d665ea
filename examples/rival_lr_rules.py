"""What three other projects read off the curve of a range test, written anew after their published source.

Each takes the learning rates and the raw losses of a sweep, stops where that project would have stopped, smooths and
skips as it does, and answers with a rate of the sweep. All three differentiate, if at all, with respect to the index.
"""

from collections.abc import Sequence

import numpy as np

from evacli.lr_finder.suggest import smooth


def fastai_valley(rates: Sequence[float], losses: Sequence[float]) -> float:
    """fastai/fastai, fastai/callback/schedule.py: `LRFinder`, `lr_find` and its default `valley`.

    Smooths like evacli (beta 0.98 with bias correction), stops above four times the best, skips 10 and 5 steps, finds
    the longest falling subsequence and goes one and a half thirds of it behind its start. That start is the end minus
    the length, which is later than where a subsequence with gaps begins.
    """
    kept = slice(10, -5)
    rates, losses = rates[kept], smooth(_until_above(losses, smooth(losses), 4))[kept]
    longest = [1] * len(losses)
    end = 0
    for i in range(1, len(losses)):
        longest[i] = 1 + max((longest[j] for j in range(i) if losses[j] > losses[i]), default=0)
        if longest[i] > longest[end]:
            end = i
    start = end - longest[end] if end else 0
    third = (end - start) / 3
    return rates[start + int(third) + int(third / 2)]


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
    "keras_lr_finder": keras_lr_finder,
    "torch-lr-finder": torch_lr_finder,
}
