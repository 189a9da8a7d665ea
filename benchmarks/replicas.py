"""What does it cost to share a batch? python benchmarks/replicas.py --model eva --batch-size 128

Takes steps on one device and on several logical ones of the same processor in turns, and prints the ratio of each pair.
The images are noise: how long a step takes does not depend on them.
"""

import argparse
import time
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from evacli import config, console, devices
from evacli.data.images import InMemory
from evacli.data.types import Data, Split
from evacli.engine.base import Controls

if TYPE_CHECKING:
    from evacli.training.learner import Learner

STEPS = 4


def noise(count: int) -> Split:
    random = np.random.default_rng(count)
    images = random.integers(0, 256, (count, 32, 32, 3), np.uint8)
    return Split(InMemory(images), np.arange(count) % 10, [str(i) for i in range(count)])


def seconds(learner: "Learner", epoch: int) -> float:
    began = time.perf_counter()
    learner.engine.run(learner.batching.deal(epoch, [Controls(0.01)] * STEPS), [])
    return (time.perf_counter() - began) / STEPS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="eva")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--devices", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=8)
    options = parser.parse_args()
    console.configure(quiet=True)
    devices.want("cpu", number=options.devices)
    from evacli.training.learner import assemble  # which starts TensorFlow

    classes = tuple("abcdefghij")
    data = Data(noise(10 * options.batch_size), None, noise(100), classes, True, "noise", (128, 128, 128), (60, 60, 60))
    settings = {"model": options.model, "batch_size": options.batch_size, "precision": "float32", "lr": 0.05}
    learners = []
    for number in (1, options.devices):
        devices.want("cpu", number=number)
        learners.append(assemble(config.make(settings), data))
    for learner in learners:
        seconds(learner, 0)  # which traces the step
    ratios = []
    for epoch in range(1, options.rounds + 1):
        one, several = (seconds(learner, epoch) for learner in learners)
        ratios.append(several / one)
        print(f"{one:.3f} s, with {options.devices} devices {several:.3f} s: {ratios[-1]:.2f}", flush=True)
    print(f"median ratio {median(ratios):.2f}, from {min(ratios):.2f} to {max(ratios):.2f}")


if __name__ == "__main__":
    main()
