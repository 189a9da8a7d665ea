"""Compares rivals on a machine whose speed swings: they alternate, and each round is one comparison."""

from collections.abc import Callable
from time import perf_counter

import numpy as np

Rivals = dict[str, Callable[[], object]]


def alternate(rivals: Rivals, rounds: int) -> dict[str, list[float]]:
    """Seconds of every rival in every round; a first call, which may compile, is not counted."""
    for run in rivals.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in rivals}
    for _ in range(rounds):
        for name, run in rivals.items():
            start = perf_counter()
            run()
            times[name].append(perf_counter() - start)
    return times


def print_ratios(times: dict[str, list[float]], images: int) -> None:
    """A line a rival: images/s, and how many times faster than the first one it was, round by round."""
    base = np.array(next(iter(times.values())))
    width = max(map(len, times))
    print(f"{'':{width}}  images/s  (best)   times as fast as {next(iter(times))}: median (quartiles)")
    for name, seconds in times.items():
        ratios = base / seconds
        low, middle, high = np.percentile(ratios, [25, 50, 75])
        speed = f"{images / np.median(seconds):8.0f}  ({images / min(seconds):.0f})"
        print(f"{name:{width}}  {speed:17}  {middle:.2f} ({low:.2f}-{high:.2f})")
