"""A network as one graph without variables, which every converter understands."""

from typing import Any

from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from evacli.backend import keras, tf

INPUT, OUTPUT = "pixels", "probabilities"


def frozen(network: keras.Model, batch_size: int | None = None) -> Any:
    """Return a network as a concrete function whose weights are constants.

    Whatever else its layers have captured becomes constant as well; converters take such tensors for inputs.

    Args:
        network: from (B, H, W, 3) pixels to (B, C) probabilities.
        batch_size: how many images it takes; None: any number.

    Example:
        >>> frozen(network).structured_input_signature[1]["pixels"].shape
        TensorShape([None, 32, 32, 3])
    """

    def answer(pixels: Any) -> Any:
        return tf.identity(network(pixels, training=False), name=OUTPUT)

    pixels = tf.TensorSpec((batch_size, *network.input_shape[1:]), tf.float32, name=INPUT)
    return convert_variables_to_constants_v2(tf.function(answer, autograph=False).get_concrete_function(pixels))
