"""Training step of the twin against plain Keras, and against the step's convolutions alone, which nothing can undercut.

    python benchmarks/step.py [--model eva] [--rounds 12]

All train the same network with `fit` on one batch of random images that is already in memory.
"""

import argparse
from functools import partial

from timing import Rivals, alternate, print_ratios

from evacli import models
from evacli.backend import keras, tf
from evacli.twin import training_twin

SHAPE, CLASSES = (32, 32, 3), 10
POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="eva")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=4, help="steps in a round")
    parser.add_argument("--rounds", type=int, default=12)
    options = parser.parse_args()
    times = alternate(rivals(options.model, options.batch_size, options.steps), options.rounds)
    print_ratios(times, options.batch_size * options.steps)


def rivals(model: str, batch_size: int, steps: int) -> Rivals:
    """What is compared; each takes `steps` steps."""
    images = tf.cast(tf.random.stateless_uniform((batch_size, *SHAPE), (0, 0), 0, 256, tf.int32), tf.uint8)
    labels = tf.random.stateless_uniform((batch_size,), (0, 1), 0, CLASSES, tf.int32)
    batches = tf.data.Dataset.from_tensors((images, labels)).repeat(steps)
    found: Rivals = {}
    for precision in POLICIES:
        plain = plain_model(model, precision)
        twin = training_twin(plain_model(model, "float32"), precision)
        found[f"plain Keras {precision}"] = trainer(plain, batches, from_logits=False)
        found[f"evacli {precision}"] = trainer(twin, batches, from_logits=True)
        found[f"convolutions alone {precision}"] = partial(repeat, convolutions(plain, batch_size, precision), steps)
    return found


def plain_model(name: str, precision: str) -> keras.Model:
    """The network of plain Keras layers."""
    keras.config.set_dtype_policy(POLICIES[precision])
    try:
        return models.build(name, SHAPE, CLASSES, (125, 123, 114), (63, 62, 67))
    finally:
        keras.config.set_dtype_policy("float32")


def trainer(model: keras.Model, batches: tf.data.Dataset, *, from_logits: bool) -> partial[object]:
    """Trains on `batches`."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=from_logits)
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), loss, metrics=["accuracy"])
    return partial(model.fit, batches, shuffle=False, verbose=0)


def convolutions(model: keras.Model, batch_size: int, precision: str) -> tf.types.experimental.PolymorphicFunction:
    """A step's convolutions with both their gradients, and nothing else."""
    layers = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]

    def random(shape: tuple[int, ...]) -> tf.Tensor:
        return tf.cast(tf.random.stateless_normal(shape, (0, 0)), precision)

    arrays = [
        (
            random((batch_size, *layer.input.shape[1:])),
            random(layer.kernel.shape),
            random((batch_size, *layer.output.shape[1:])),
        )
        for layer in layers
    ]

    def step() -> list[tf.Tensor]:
        found = []
        for layer, (x, kernel, gradient) in zip(layers, arrays, strict=True):
            options = {"strides": [1, *layer.strides, 1], "padding": layer.padding.upper()}
            found.append(tf.raw_ops.Conv2D(input=x, filter=kernel, **options))
            found.append(
                tf.raw_ops.Conv2DBackpropFilter(input=x, filter_sizes=kernel.shape, out_backprop=gradient, **options)
            )
            if layer is not layers[0]:  # nobody asks for the gradient of the pixels
                found.append(
                    tf.raw_ops.Conv2DBackpropInput(input_sizes=x.shape, filter=kernel, out_backprop=gradient, **options)
                )
        # One number each, so that nothing is left out as unused and nothing is copied.
        return [tf.reshape(t, [-1])[0] for t in found]

    return tf.function(step)


def repeat(run: tf.types.experimental.PolymorphicFunction, times: int) -> None:
    """Calls `run` and waits for its values."""
    for _ in range(times):
        for value in run():
            value.numpy()


if __name__ == "__main__":
    main()
