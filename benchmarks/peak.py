"""The most arithmetic that this machine does for TensorFlow: a product of two large square matrices.

    python benchmarks/peak.py [--size 3072] [--repeats 9]

Convolutions that do without Winograd's tricks cannot be faster: FLOPs of an image over this are its least time.
"""

import argparse
from time import perf_counter
from typing import Any

import numpy as np
from contest import machine, spread

from evacli.backend import tf


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=3072)
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()
    print(f"{machine()}\n\n| | GFLOP/s: median (min..max) |\n| --- | ---: |")
    for dtype in tf.float32, tf.bfloat16:
        matrix = tf.cast(tf.random.normal([options.size] * 2), dtype)
        seconds = [product(matrix) for _ in range(options.repeats + 1)][1:]  # the first one warms up
        print(f"| {dtype.name} | {spread(2e-9 * options.size**3 / np.array(seconds), ',.0f')} |")


def product(matrix: Any) -> float:
    """Seconds that it takes."""
    began = perf_counter()
    (matrix @ matrix)[0, 0].numpy()
    return perf_counter() - began


if __name__ == "__main__":
    main()
