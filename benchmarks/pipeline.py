"""Shuffling and augmentation alone, on one core, and their share of a training step.

python benchmarks/pipeline.py [--data PATH | --dataset digits] [--rounds 9]
"""

import argparse
import tempfile

import numpy as np
import real_images
from contest import Entry, compete, machine, spread, started

PIPELINE, BATCH_SIZE, STEPS = "pipeline", 128, 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    real_images.add_options(parser)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        needed = BATCH_SIZE * (STEPS + 1) * (options.rounds + 2)
        data = ("--data", real_images.write(options, folder, needed, BATCH_SIZE))
        entries = [Entry(PIPELINE, "pipeline", data)]
        for precision in ("float32", "bfloat16"):
            entries.append(Entry(precision, "evacli_train", (*data, "--precision", precision), (PIPELINE,)))
        with started(entries) as rivals:
            images = rivals[PIPELINE].facts["images"]
            alone, *pairs = compete(rivals, options.rounds, STEPS)
    print(f"{machine()}; {options.rounds} rounds\n")
    print(f"input pipeline on one core: {spread(images / np.array(alone.seconds), ',.0f')} images/s")
    for pair in pairs:
        shares = np.array(pair.other_seconds) / images / (np.array(pair.seconds) / BATCH_SIZE)
        print(f"its time, as a share of a {pair.name} step's: {spread(shares, '.1%')}")


if __name__ == "__main__":
    main()
