"""The bound: the convolutions of an epoch's steps with both their gradients, and nothing else."""

import itertools

import tensorflow as tf

from evacli import models
from rivals.convolutions import convolutions
from rivals.gate import training_images
from rivals.gpu_gate import Gate, options


def main() -> None:
    chosen = options()
    model = models.build("eva", (32, 32, 3), 10, (125, 123, 114), (63, 62, 67))
    step = convolutions(model, chosen.batch_size, chosen.precision)
    steps = len(training_images(chosen.data)[0]) // chosen.batch_size
    gate = Gate(images=steps * chosen.batch_size, framework=f"TensorFlow {tf.__version__}")
    for _ in itertools.count():
        for _ in range(steps):
            found = step()
        for value in found:
            value.numpy()  # waits for the card
        gate.step_done()


if __name__ == "__main__":
    main()
