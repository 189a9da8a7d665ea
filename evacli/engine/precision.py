"""What the convolutions of training should compute in."""

import math
from collections.abc import Sequence
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evacli.backend import keras, tf
from evacli.engine.base import Precision

ROUNDS = 5
SHORTER: tuple[Precision, ...] = "float32", "bfloat16", "float16"
# bfloat16 rounds to eight bits, so it has to pay for that.
WORTHWHILE_SPEEDUP = 1.1


# Of the convolution: images, side, channels and filters. On a card the small one would measure how it is launched.
SMALL = 32, 16, 32, 64
LARGER = 256, 32, 64, 64


def choose(precision: str) -> Precision:
    """Resolve "auto" by measuring a small convolution, forward and backward, in both; takes under a second.

    The times alternate and the best of each counts, since other work on the machine only ever adds to them. Processors
    without bfloat16 arithmetic emulate it, and are then many times slower.

    Args:
        precision: "auto", or the answer.

    Returns:
        The faster of the two; "bfloat16" only where it is faster by a tenth.
    """
    if precision == "auto":
        return "bfloat16" if speedup() >= WORTHWHILE_SPEEDUP else "float32"
    return as_said(precision)


def choose_on_card(precision: str) -> Precision:
    """Resolve "auto" by measuring a convolution in all three: cards before NVIDIA's Ampere know no bfloat16.

    Args:
        precision: "auto", or the answer.

    Returns:
        The fastest; the shorter ones only where they are faster by a tenth, and float16, whose range is small, only
        where bfloat16 is slower by that.
    """
    if precision != "auto":
        return as_said(precision)
    seconds = dict(zip(SHORTER, times([_tried(name) for name in SHORTER]), strict=True))
    chosen: Precision = "float32"
    for name in SHORTER:
        if seconds[chosen] >= WORTHWHILE_SPEEDUP * seconds[name]:
            chosen = name
    return chosen


def as_said(precision: str) -> Precision:
    """Return a precision that was named."""
    return next(name for name in SHORTER if name == precision)


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
    exact, short = times(steps)
    return float(exact / short)


def times(steps: Sequence[Any]) -> list[float]:
    """Return the least seconds of each of some steps, which take turns; infinite for one that is None."""
    found = [[_seconds(step) if step else math.inf for step in steps] for _ in range(ROUNDS)]
    return [min(column) for column in zip(*found, strict=True)]


def _tried(name: Precision) -> Any:
    """Return a step that has run once, None if the card does not know how."""
    step = _step(tf.as_dtype(name), LARGER)
    try:
        _seconds(step)
    except (tf.errors.OpError, NotImplementedError):
        return None
    return step


def _step(dtype: Any, size: tuple[int, int, int, int] = SMALL) -> Any:
    count, side, channels, filters = size
    images = tf.cast(tf.random.stateless_normal((count, side, side, channels), seed=(0, 0)), dtype)
    kernel = tf.cast(tf.random.stateless_normal((3, 3, channels, filters), seed=(0, 1)), dtype)

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
