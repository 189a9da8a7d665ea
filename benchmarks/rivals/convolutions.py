"""The bound: a step's convolutions with both their gradients, and nothing else."""

import itertools

import keras
import tensorflow as tf

from evacli import models
from rivals.gate import Gate, parser


def main() -> None:
    options = parser().parse_args()
    model = models.build("eva", (32, 32, 3), 10, (125, 123, 114), (63, 62, 67))
    step = convolutions(model, options.batch_size, options.precision)
    gate = Gate(parameters=model.count_params(), framework=f"TensorFlow {tf.__version__}")
    for _ in itertools.count():
        for value in step():
            value.numpy()
        gate.step_done()


def convolutions(model: keras.Model, batch_size: int, precision: str) -> tf.types.experimental.PolymorphicFunction:
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


if __name__ == "__main__":
    main()
