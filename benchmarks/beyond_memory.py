"""What images beyond memory cost: anonymous memory and the time of a step, from the cache and from memory.

    python benchmarks/beyond_memory.py --photos 10000 40000 --steps 200

Makes photographs of 224x224 pixels, decodes them to disk as a training would, and takes steps with a small network.
Prints a line for each number of photographs; with --compare also how long a step takes from memory, in turns.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

SIDE = 224


def main() -> None:
    options = arguments()
    if options.measure:
        measure(options.measure, options.photos[0], options.steps, options.memory)
        return
    with tempfile.TemporaryDirectory(dir=options.where) as folder:
        for count in options.photos:
            make(Path(folder, "photos"), count)
            for memory in (0, 64) if options.compare else (0,):
                environment = os.environ | {"EVACLI_CACHE": f"{folder}/cache"}
                told = [f"--photos={count}", f"--steps={options.steps}", f"--memory={memory}"]
                command = [sys.executable, __file__, f"--measure={folder}/photos", *told]
                subprocess.run(command, env=environment, check=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--photos", type=int, nargs="+", default=[10_000, 40_000])
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--compare", action="store_true")
    parser.add_argument("--where", default=None, help="a folder with some ten GB free")
    parser.add_argument("--measure", type=Path)
    parser.add_argument("--memory", type=float, default=0)
    return parser.parse_args()


def make(folder: Path, count: int) -> None:
    """Write smooth noise, which JPEG keeps small, into two classes; what is there already stays."""
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for i in range(count):
        path = folder / ("cat", "dog")[i % 2] / f"{i}.jpg"
        if not path.exists():
            small = rng.integers(0, 256, (28, 28, 3), np.uint8)
            cv2.imwrite(str(path), cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR))


def measure(photos: Path, count: int, steps: int, memory: float) -> None:
    from evacli import config, data
    from evacli.engine.base import Controls
    from evacli.training.learner import assemble

    settings = {"data": str(photos), "model": "airbench_small", "batch_size": 8, "precision": "float32"}
    settled = config.make(settings | {"memory": memory, "crop": 0, "cutout": 0})
    began = time.perf_counter()
    loaded = data.load(settled)
    decoding = time.perf_counter() - began
    learner = assemble(settled, loaded)
    learner.engine.run(learner.batching.deal(0, [Controls(0.01)] * 5), [])
    began = time.perf_counter()
    learner.engine.run(learner.batching.deal(1, [Controls(0.01)] * steps), [])
    seconds = (time.perf_counter() - began) / steps
    began = time.perf_counter()
    for first in range(0, 8 * steps, 8):
        loaded.train.images.read(np.arange(first, first + 8) % len(loaded.train))
    reading = (time.perf_counter() - began) / steps
    where = "memory" if memory else "the cache"
    print(
        f"{count:6,} photographs from {where}: loaded in {decoding:.1f} s, anonymous memory "
        f"{anonymous() / 2**20:,.0f} MB, {1e3 * seconds:.1f} ms a step, of which reading {1e3 * reading:.2f} ms",
        flush=True,
    )


def anonymous() -> int:
    """Return how many bytes of the process are backed by no file."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
    return 1024 * int(status["RssAnon"].split()[0])


if __name__ == "__main__":
    main()
