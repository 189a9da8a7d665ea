"""evacli's input pipeline alone, on one core."""

import itertools
import os

# Before TensorFlow counts the cores.
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

# ruff: noqa: E402
from evacli import config, data
from evacli.engine.base import Controls
from evacli.training.learner import assemble
from rivals.gate import Gate, parser

BATCHES = 40  # make one step, so that the two that wait ready-made hardly count


def main() -> None:
    options = parser().parse_args()
    settings = {"data": options.data, "batch_size": options.batch_size, "precision": options.precision}
    learner = assemble(config.make(settings), data.load(config.make(settings)))
    gate = Gate(images=BATCHES * options.batch_size)
    controls = [Controls(0.1)] * learner.batching.steps(0)
    epochs = (learner.batching.deal(epoch, controls) for epoch in itertools.count())
    batches = itertools.chain.from_iterable(map(learner.engine._dataset, epochs))
    for number, _ in enumerate(batches, start=1):
        if number % BATCHES == 0:
            gate.step_done()


if __name__ == "__main__":
    main()
