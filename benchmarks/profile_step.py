"""Where the time of evacli's training step goes: TensorFlow's own trace, summed by kind of operation.

    python benchmarks/profile_step.py [--precision bfloat16] [--steps 8] [--recipe airbench]

Operations run side by side on several threads, and each uses several; so the sum may exceed the time of the step.
"""

import argparse
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from contest import machine

import evacli
from evacli import config
from evacli.backend import tf
from evacli.data.images import InMemory
from evacli.data.types import Data, Split
from evacli.engine.base import Controls
from evacli.training.learner import assemble


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="bfloat16")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--recipe", help="by default what evacli train does without options")
    parser.add_argument("--by-operation", action="store_true", help="a line for each operation of the graph")
    options = parser.parse_args()
    events = list(trace(options.recipe, options.precision, options.steps))
    total: Counter[str] = Counter()
    for operation, kind, milliseconds in events:
        total[operation if options.by_operation else kind] += milliseconds / options.steps
    print(f"{machine()}\n\n| {options.precision} | ms a step | share |\n| --- | ---: | ---: |")
    for name, milliseconds in total.most_common(30):
        print(f"| {name} | {milliseconds:.1f} | {milliseconds / total.total():.1%} |")


def trace(recipe: str | None, precision: str, steps: int) -> Iterator[tuple[str, str, float]]:
    """Name, type and milliseconds of every operation that ran."""
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    settings = config.make((evacli.recipe(recipe) if recipe else {}) | {"precision": precision})
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (int(settings.batch_size) * steps, 32, 32, 3), np.uint8)
    split = Split(InMemory(images), random.integers(0, 10, len(images)), [""] * len(images))
    learner = assemble(settings, Data(split, None, split, tuple("0123456789"), True, "", (127.0,) * 3, (74.0,) * 3))

    def train() -> None:
        learner.engine.run(learner.batching.deal(0, [Controls(0.1)] * steps), [])

    train()
    with tempfile.TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder):
            train()
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
