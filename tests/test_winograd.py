"""3x3 convolutions with fewer multiplications, against TensorFlow's own and against sums in float64."""

from functools import partial

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evacli.backend import tf
from evacli.engine.fast import winograd
from evacli.engine.fast.layers import FastConv2D


def operands(
    batch: int, height: int, width: int, channels: int, filters: int
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Inputs, a kernel, and the gradient of some loss with respect to the outputs."""
    rng = np.random.default_rng([batch, height, width, channels, filters])
    shapes = (batch, height, width, channels), (3, 3, channels, filters), (batch, height, width, filters)
    return tuple(tf.constant(rng.normal(size=shape), tf.float32) for shape in shapes)


def outputs_and_gradients(convolve, inputs: tf.Tensor, kernel: tf.Tensor, upstream: tf.Tensor) -> list[tf.Tensor]:
    with tf.GradientTape() as tape:
        tape.watch([inputs, kernel])
        outputs = convolve(inputs, kernel)
    return [outputs, *tape.gradient(outputs, [inputs, kernel], upstream)]


def direct(inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    return tf.nn.conv2d(inputs, kernel, 1, "SAME")


@settings(max_examples=40)
@given(st.integers(1, 3), st.integers(1, 18), st.integers(1, 18), st.integers(1, 5), st.integers(1, 5))
def test_outputs_and_gradients_are_those_of_the_direct_convolution(batch, height, width, channels, filters):
    given_ = operands(batch, height, width, channels, filters)
    expected = outputs_and_gradients(direct, *given_)
    for found, wanted in zip(outputs_and_gradients(winograd.convolve, *given_), expected, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-4 * max(1, np.abs(wanted.numpy()).max()))


def test_rounding_errors_are_small_where_it_is_used():
    inputs, kernel, _ = operands(4, 8, 8, 128, 256)
    padded = np.pad(inputs.numpy().astype(np.float64), [(0, 0), (1, 1), (1, 1), (0, 0)])
    exact = sum(
        padded[:, i : i + 8, j : j + 8] @ kernel.numpy()[i, j].astype(np.float64) for i in range(3) for j in range(3)
    )
    errors = winograd.convolve(inputs, kernel).numpy() - exact
    assert errors.std() < 4e-6 * exact.std()
    assert (direct(inputs, kernel).numpy() - exact).std() < 2e-6 * exact.std()


def test_bfloat16_costs_about_two_percent():
    given_ = operands(4, 15, 7, 64, 128)
    short = [tf.cast(tensor, tf.bfloat16) for tensor in given_]
    expected = outputs_and_gradients(direct, *[tf.cast(tensor, tf.float32) for tensor in short])
    for found, wanted in zip(outputs_and_gradients(winograd.convolve, *short), expected, strict=True):
        assert found.dtype == tf.bfloat16
        errors = tf.cast(found, tf.float32).numpy() - wanted.numpy()
        # 1.6 % where sums are rounded once, 2.02 % where bfloat16 is emulated.
        assert errors.std() < 0.03 * wanted.numpy().std()
        assert abs(errors.mean()) < 0.001 * wanted.numpy().std()


def test_the_transforms_of_pixels_are_exact_in_bfloat16():
    for matrix in (winograd.INPUT_TRANSFORM, winograd.OUTPUT_TRANSFORM):
        np.testing.assert_array_equal(tf.cast(tf.cast(matrix, tf.bfloat16), tf.float32), matrix)


def test_the_same_bits_every_time():
    step = tf.function(partial(outputs_and_gradients, winograd.convolve))
    given_ = operands(32, 8, 8, 128, 256)
    first = [tensor.numpy() for tensor in step(*given_)]
    for _ in range(5):
        for found, wanted in zip(step(*given_), first, strict=True):
            np.testing.assert_array_equal(found.numpy(), wanted)


@pytest.mark.parametrize(
    ("changes", "taken"),
    [
        ({}, True),
        ({"use_bias": False, "activation": "relu"}, True),
        ({"filters": 32}, False),
        ({"strides": 2}, False),
        ({"padding": "valid"}, False),
        ({"dilation_rate": 2}, False),
        ({"kernel_size": 5}, False),
        ({"groups": 2}, False),
        ({"dtype": "mixed_bfloat16"}, True),
        ({"dtype": "float64"}, False),
    ],
)
def test_a_layer_computes_what_the_plain_one_does_and_takes_the_way_that_pays(changes, taken, monkeypatch):
    ways = []
    real = winograd.convolve
    monkeypatch.setattr(winograd, "convolve", lambda *a: ways.append(1) or real(*a))
    options = {"filters": 128, "kernel_size": 3, "padding": "same"} | changes
    plain, fast = keras.layers.Conv2D(**options), FastConv2D(**options)
    images, *_ = operands(3, 8, 8, 64, 1)
    expected = plain(images)
    fast.build(images.shape)
    fast.set_weights(plain.get_weights())
    found, wanted = (tf.cast(outputs, tf.float32).numpy() for outputs in (fast(images), expected))
    # In bfloat16 1.6 % where sums are rounded once; 5.2 % if some processor rounded after every addition.
    assert (found - wanted).std() < (0.06 if changes.get("dtype") == "mixed_bfloat16" else 1e-5) * wanted.std()
    assert bool(ways) == taken


def test_images_of_unknown_or_large_size_go_the_direct_way():
    kernel = tf.zeros((3, 3, 64, 128))
    assert winograd.pays(keras.Input((16, 16, 64)), kernel)
    assert not winograd.pays(keras.Input((17, 16, 64)), kernel)
    assert not winograd.pays(keras.Input((None, 16, 64)), kernel)
