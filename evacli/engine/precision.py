"""What the convolutions of training should compute in."""

from time import perf_counter
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from evacli.backend import keras, tf

ROUNDS = 5
# bfloat16 rounds to eight bits, so it has to pay for that.
WORTHWHILE_SPEEDUP = 1.1


def choose(precision: str) -> Literal["float32", "bfloat16"]:
    """Resolve "auto" by measuring a small convolution, forward and backward, in both; takes under a second.

    The times alternate and the best of each counts, since other work on the machine only ever adds to them. Processors
    without bfloat16 arithmetic emulate it, and are then many times slower.

    Args:
        precision: "auto", or the answer.

    Returns:
        The faster of the two; "bfloat16" only where it is faster by a tenth.
    """
    if precision == "float32":
        return "float32"
    if precision == "bfloat16" or speedup() >= WORTHWHILE_SPEEDUP:
        return "bfloat16"
    return "float32"


def try_out(twin: keras.Model, images: NDArray[np.uint8]) -> None:
    """Compute the loss of a step and its gradients, and take no step: the network stays as it is.

    Args:
        twin: a compiled network, from pixels to scores.
        images: (B, H, W, 3), a few.

    Raises:
        Exception: whatever the network's operations raise.
    """

    def step(shown: Any) -> Any:
        with tf.GradientTape() as tape:
            scores = twin(shown, training=True)
            loss = twin.compute_loss(shown, tf.zeros_like(scores[:, 0], tf.int32), scores)
        return tape.gradient(loss, twin.trainable_variables)

    # In a graph, and with any number of images, like what trains: an operation may be known there alone.
    signature = [tf.TensorSpec([None, *images.shape[1:]], tf.uint8)]
    before = [np.array(variable.numpy()) for variable in twin.variables]  # statistics and seeds move on
    try:
        tf.function(step, input_signature=signature, autograph=False)(images)
    finally:
        for variable, value in zip(twin.variables, before, strict=True):
            variable.assign(value)


def speedup() -> float:
    """Return the time of the small convolution in float32, divided by its time in bfloat16."""
    steps = [_step(tf.float32), _step(tf.bfloat16)]
    for step in steps:
        step()  # traces
    times = [[_seconds(step) for step in steps] for _ in range(ROUNDS)]
    exact, short = (min(column) for column in zip(*times, strict=True))
    return float(exact / short)


def _step(dtype: Any) -> Any:
    images = tf.cast(tf.random.stateless_normal((32, 16, 16, 32), seed=(0, 0)), dtype)
    kernel = tf.cast(tf.random.stateless_normal((3, 3, 32, 64), seed=(0, 1)), dtype)

    def step() -> Any:
        with tf.GradientTape() as tape:
            tape.watch([images, kernel])
            outputs = tf.nn.relu(tf.nn.conv2d(images, kernel, 1, "SAME"))
        return tape.gradient(outputs, [images, kernel])

    return tf.function(step)


def _seconds(step: Any) -> float:
    start = perf_counter()
    for gradient in step():
        gradient.numpy()
    return perf_counter() - start
