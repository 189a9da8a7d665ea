"""Learning rates read off the curve of a range test: pure functions of (learning rates, losses).

The range test is Smith 2015 (arXiv 1506.01186, section 3.3): raise the learning rate from low to high during one short
run and look where the loss falls. `valley`, `steep`, `minimum_over_ten` and `slide` go back to the rules of those names
that fastai documents (https://docs.fast.ai/callback.schedule.html, "Suggestion methods"). These here work along the
logarithm of the learning rate instead of along the index, so they mean the same in a linear sweep.

Every rule is a heuristic and takes what `smooth` and the cutting of both ends left of the curve; `suggest` does all of
that. Each gives a rate inside the sweep or None where its idea does not apply. All of them see the loss late: the
moving average follows the batches by about 1 / (1 - beta) steps, which moves what they find to higher rates.
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import NamedTuple

from evacli.errors import NoSuggestion
from evacli.run.lr_result import MIN_STEPS, Stop, smoothed_around


class Choice(NamedTuple):
    """A learning rate, and the lowest and highest of those that look about as good."""

    lr: float
    low: float
    high: float


Rule = Callable[[Sequence[float], Sequence[float]], float | None]

# The first losses are an average of too few, the last ones belong to the explosion (fastai's numbers).
SKIP_FIRST, SKIP_LAST = 10, 5
BOTTOM_SHARE = 0.2


def smooth(losses: Sequence[float], beta: float = 0.98) -> list[float]:
    """Exponential moving average without the pull towards zero at its start (Kingma & Ba 2014, section 3)."""
    average = Smoothed(beta)
    return [average.of(loss) for loss in losses]


class Smoothed:
    """The exponential moving average of losses that come one by one."""

    def __init__(self, beta: float = 0.98) -> None:
        self._beta, self._average, self._step = beta, 0.0, 0

    def of(self, loss: float) -> float:
        """Return the average with one more loss."""
        self._step += 1
        self._average = self._beta * self._average + (1 - self._beta) * loss
        return self._average / (1 - self._beta**self._step)


class Watch:
    """Tells when a sweep has seen enough, from one loss after the other."""

    def __init__(self) -> None:
        self._smoothed, self._best = Smoothed(), math.inf

    def stop(self, loss: float) -> Stop | None:
        """Say why, if it has: the smoothed loss exceeds four times its best, or is not finite."""
        smoothed = self._smoothed.of(loss)
        if not math.isfinite(smoothed):
            return "not finite"
        self._best = min(self._best, smoothed)
        return "diverged" if smoothed > 4 * self._best else None


def reason_to_stop(losses: Sequence[float]) -> Stop | None:
    """Say why a sweep that ends with these losses has seen enough, if it has.

    Example:
        >>> reason_to_stop([2.0, 1.0, 1.0, 400.0])
        'diverged'
    """
    watch = Watch()
    reasons = [watch.stop(loss) for loss in losses]
    return "not finite" if "not finite" in reasons else reasons[-1] if reasons else None


def valley(learning_rates: Sequence[float], losses: Sequence[float]) -> float | None:
    """Two thirds along the longest descent, in log learning rate.

    The descent is the longest strictly falling subsequence, so single bumps do not end it. Fails where a long, flat
    drift before the real fall counts as descent: the suggestion is then too low.
    """
    first, last = _longest_descent(losses)
    if first == last:
        return None
    start, end = learning_rates[first], learning_rates[last]
    return min(max(start, math.cbrt(start) * math.cbrt(end) ** 2), end)


def steep(learning_rates: Sequence[float], losses: Sequence[float]) -> float | None:
    """Where the loss falls fastest: the minimum of d loss / d log(learning rate).

    Fails on noisy curves, where one lucky batch makes the steepest slope.
    """
    slopes = _slopes(learning_rates, losses)
    best = min(range(len(slopes)), key=slopes.__getitem__)
    return learning_rates[best] if slopes[best] < 0 else None


def minimum_over_ten(learning_rates: Sequence[float], losses: Sequence[float]) -> float | None:
    """Return a tenth of the learning rate with the lowest loss, which itself is on the brink of divergence.

    Robust to noise, since nothing is differentiated and the drift before the fall does not count.

    Fails where the loss still falls at the end of the sweep (the minimum is then not the curve's but the sweep's) and
    where a tenth is below the lowest rate that was tried: None.
    """
    return _below_minimum(learning_rates, losses, 10)


def minimum_over_three(learning_rates: Sequence[float], losses: Sequence[float]) -> float | None:
    """Return a third of the learning rate with the lowest loss: the peak of a schedule that warms up to it.

    A network that has been warmed up bears higher rates than the untrained one of the sweep (Smith & Topin 2017, arXiv
    1708.07120), so a tenth, made for a constant rate from the first step on, is too careful there. Fails like
    `minimum_over_ten`, and often diverges with Adam and in networks without normalisation.
    """
    return _below_minimum(learning_rates, losses, 3)


def slide(
    learning_rates: Sequence[float], losses: Sequence[float], decades: float = 1.2, tolerance: float = 0.03
) -> float | None:
    """Return the low end of the highest interval of 1.2 decades whose ends see the loss fall about equally fast.

    Seen from the high end, that is where the explosion no longer disturbs the descent. Equally fast: the slopes, in
    nats per factor e, differ by at most `tolerance`. Fails where descent and flat start blend into each other (it
    slides too far down), where nothing explodes (it stays at the high end) and where the descent is shorter than the
    interval (usually None).
    """
    slopes = _slopes(learning_rates, losses)
    for high in reversed(range(len(slopes))):
        wanted = learning_rates[high] / 10**decades
        if wanted < learning_rates[0]:
            break
        low = bisect_left(learning_rates, wanted)
        if slopes[low] < 0 and abs(slopes[high] - slopes[low]) <= tolerance:
            return learning_rates[low]
    return None


def foot(
    learning_rates: Sequence[float], losses: Sequence[float], share: float = 0.85, inertia: float = 0.0
) -> float | None:
    """Where the fall is all but over, after 85 % of it; lower for methods with a beta_1, their `inertia`.

    Unlike the minimum itself it does not depend on where in a long, flat bottom some batches were lucky, as with Adam
    on a network with normalisation, whose loss hardly ever explodes.

    A sweep names rates that are too high for Adam: by a factor of 3 to 5 in the trainings of examples/lr-regret, which
    the square root of 1 / (1 - beta_1) describes; an observation without a reason. With momentum it was the same there,
    in trainings of 250 steps; but the network eva on images of full size wants the higher rate.

    Fails where the sweep ends in the middle of the fall (the rate is then too low) and where the rate would be below
    the lowest that was tried: None.
    """
    if losses.index(min(losses)) == 0:
        return None
    suggestion = _fallen(learning_rates, losses, share) * math.sqrt(1 - inertia)
    return suggestion if suggestion >= learning_rates[0] else None


def bottom(learning_rates: Sequence[float], losses: Sequence[float]) -> float | None:
    """Return the middle of where the smoothed loss is within a fifth of its fall of its lowest.

    Unlike the rules it reads the curve that is drawn, smoothed around each step, which does not come late.

    Args:
        learning_rates: of each step, rising.
        losses: of each step's batch in nats, not smoothed.

    Returns:
        None if too few steps were recorded, or the loss falls by less than neighbouring batches differ.
    """
    losses = _finite_start(losses)
    if len(losses) < MIN_STEPS:
        return None
    smoothed = smoothed_around(losses)
    lowest = min(range(SKIP_FIRST, len(losses) - SKIP_LAST), key=smoothed.__getitem__)
    fall = max(smoothed[: lowest + 1]) - smoothed[lowest]
    if fall <= _noise(losses):
        return None
    limit = smoothed[lowest] + BOTTOM_SHARE * fall
    first = last = lowest
    while first > 0 and smoothed[first - 1] <= limit:
        first -= 1
    while last < len(losses) - 1 and smoothed[last + 1] <= limit:
        last += 1
    return math.sqrt(learning_rates[first] * learning_rates[last])


def halfway(read: float | None, customary: float, limits: tuple[float, float]) -> float:
    """Return the geometric mean of what the curve of a sweep says, if it does, and of what is customary.

    Either alone is farther off: one batch at each rate is noisy, and what is customary knows neither network nor data.

    Args:
        read: off the curve.
        customary: the optimizer's own rate.
        limits: the lowest and highest rate of the sweep, between which it stays.
    """
    wanted = customary if read is None else math.sqrt(read * customary)
    return min(max(wanted, limits[0]), limits[1])


def onset(learning_rates: Sequence[float], losses: Sequence[float], share: float = 0.1) -> float | None:
    """Where the loss begins to fall, Smith's lower bound for a cyclical rate: after a tenth of its whole fall.

    Fails where the sweep begins in the middle of the fall: it then names one of the first rates.
    """
    return _fallen(learning_rates, losses, share)


RULES: dict[str, Rule] = {
    "foot": foot,
    "valley": valley,
    "steep": steep,
    "minimum/10": minimum_over_ten,
    "minimum/3": minimum_over_three,
    "slide": slide,
}


def rules_for(inertia: float) -> dict[str, Rule]:
    """Return the rules for an optimizer of this inertia, 0 to 1; see `evacli.engine.hyperparameters.inertia`."""
    return RULES | {"foot": partial(foot, inertia=inertia)}


def suggest(
    learning_rates: Sequence[float], losses: Sequence[float], rules: Mapping[str, Rule] = RULES
) -> dict[str, float | None]:
    """Return what each rule suggests for a recorded sweep.

    Args:
        learning_rates: of each step, rising.
        losses: of each step's batch in nats, not smoothed; ends where a loss is not finite.
        rules: by name.

    Returns:
        A learning rate, or None, for each name in `rules`.

    Raises:
        NoSuggestion: if too few steps were recorded, or the smoothed loss falls by less than neighbouring batches
            differ. (Under pure noise about one curve in a hundred passes that test.)
    """
    losses = _finite_start(losses)
    if len(losses) < MIN_STEPS:
        raise NoSuggestion(
            f"Only {len(losses)} learning rates could be tried, at least {MIN_STEPS} are needed.",
            "Start lower (--min-lr), end lower (--max-lr) or take more --steps.",
        )
    kept = _kept(losses)
    smoothed = smooth(losses)[kept]
    if _fall(smoothed) <= _noise(losses[kept]):
        raise NoSuggestion(
            f"The loss never falls clearly between learning rates {learning_rates[0]:.3g} and "
            f"{learning_rates[len(losses) - 1]:.3g}.",
            "Try another range (--min-lr, --max-lr), more --steps or a larger --batch-size.",
        )
    return {name: rule(learning_rates[kept], smoothed) for name, rule in rules.items()}


def _below_minimum(learning_rates: Sequence[float], losses: Sequence[float], divisor: float) -> float | None:
    lowest = min(range(len(losses)), key=losses.__getitem__)
    suggestion = learning_rates[lowest] / divisor
    return suggestion if suggestion >= learning_rates[0] else None


def _fallen(learning_rates: Sequence[float], losses: Sequence[float], share: float) -> float:
    """Return the first rate at which `share` of the fall is over, counted from the highest loss before the lowest."""
    lowest = min(range(len(losses)), key=losses.__getitem__)
    highest = max(losses[: lowest + 1])
    wanted = highest - share * (highest - losses[lowest])
    peak = losses.index(highest)
    return next(rate for rate, loss in zip(learning_rates[peak:], losses[peak:], strict=True) if loss <= wanted)


def _kept(losses: Sequence[float]) -> slice:
    """Return which steps the rules look at: neither end."""
    return slice(SKIP_FIRST, len(losses) - SKIP_LAST)


def _finite_start(losses: Sequence[float]) -> Sequence[float]:
    bad = next((i for i, loss in enumerate(losses) if not math.isfinite(loss)), len(losses))
    return losses[:bad]


def _fall(losses: Sequence[float]) -> float:
    """Tell how far the lowest loss is below the highest one before it."""
    lowest = min(range(len(losses)), key=losses.__getitem__)
    return max(losses[: lowest + 1]) - losses[lowest]


def _noise(losses: Sequence[float]) -> float:
    """Tell how much the losses of neighbouring batches differ, or what float32 cannot tell apart if that is more."""
    jumps = sorted(abs(a - b) for a, b in pairwise(losses))
    return max(jumps[len(jumps) // 2], 1e-6 * max(map(abs, losses)))


def _longest_descent(losses: Sequence[float]) -> tuple[int, int]:
    """First and last index of the longest strictly falling subsequence, by patience sorting; of equals the lowest."""
    # Entry k belongs to the subsequence of k + 1 losses that ends highest: its last loss, negated, and its first index.
    ends: list[float] = []
    firsts: list[int] = []
    longest = (0, 0)
    for i, loss in enumerate(losses):
        k = bisect_left(ends, -loss)
        first = firsts[k - 1] if k else i
        if k == len(ends):
            longest = (first, i)
        ends[k : k + 1] = [-loss]
        firsts[k : k + 1] = [first]
    return longest


def _slopes(learning_rates: Sequence[float], losses: Sequence[float]) -> list[float]:
    """Return the derivative with respect to log(learning rate), in nats per factor e."""
    import numpy as np

    return [float(slope) for slope in np.gradient(losses, np.log(learning_rates))]
