"""Where the time of evacli's training step goes: TensorFlow's own trace, summed by kind of operation.

    python benchmarks/profile_step.py [--precision bfloat16] [--steps 8]

Operations run side by side on several threads, and each uses several; so the sum may exceed the time of the step.
"""

import argparse
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from contest import machine

from evacli import models
from evacli.backend import keras, tf
from evacli.training.twin import training_twin

BATCH_SIZE = 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="bfloat16")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--by-operation", action="store_true", help="a line for each operation of the graph")
    options = parser.parse_args()
    events = list(trace(options.precision, options.steps))
    total: Counter[str] = Counter()
    for operation, kind, milliseconds in events:
        total[operation if options.by_operation else kind] += milliseconds / options.steps
    print(f"{machine()}\n\n| {options.precision} | ms a step | share |\n| --- | ---: | ---: |")
    for name, milliseconds in total.most_common(30):
        print(f"| {name} | {milliseconds:.1f} | {milliseconds / total.total():.1%} |")


def trace(precision: str, steps: int) -> Iterator[tuple[str, str, float]]:
    """Name, type and milliseconds of every operation that ran."""
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    model = models.build("eva", (32, 32, 3), 10, (125, 123, 114), (63, 62, 67))
    twin = training_twin(model, precision)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    twin.compile(keras.optimizers.SGD(0.01, momentum=0.9), loss, metrics=["accuracy"], jit_compile=False)
    random = np.random.default_rng(0)
    images = tf.constant(random.integers(0, 256, (BATCH_SIZE, 32, 32, 3)), tf.uint8)
    labels = tf.constant(random.integers(0, 10, BATCH_SIZE), tf.int32)
    batches = tf.data.Dataset.from_tensors((images, labels)).repeat(steps)
    twin.fit(batches, verbose=0)
    with tempfile.TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder):
            twin.fit(batches, verbose=0)
        for file in Path(folder).rglob("*.xplane.pb"):
            yield from operations(xplane_pb2.XSpace.FromString(file.read_bytes()))


def operations(space: object) -> Iterator[tuple[str, str, float]]:
    for plane in space.planes:
        for line in plane.lines:
            for event in line.events:
                # TensorFlow calls an operation's event "name:type".
                name, colon, kind = plane.event_metadata[event.metadata_id].name.rpartition(":")
                if colon and kind.isidentifier() and " " not in name and not name.endswith(":"):
                    yield name, kind, event.duration_ps / 1e9


if __name__ == "__main__":
    main()
