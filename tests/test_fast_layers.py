import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from evacli.engine.fast.layers import FastActivation, FastConv2D, FastDropout, FusedBatchNormalization


def images(shape=(6, 4, 5, 3), seed=0, dtype=np.float32):
    return (np.random.default_rng(seed).normal(size=shape) * 3 + 2).astype(dtype)


def randomise(layer, seed=1):
    rng = np.random.default_rng(seed)
    layer.set_weights([rng.uniform(0.5, 2, w.shape) for w in layer.get_weights()])


def pair(plain, fast, x, **options):
    made = []
    for kind in (plain, fast):
        layer = kind(**options)
        layer(x)
        randomise(layer)
        made.append(layer)
    return made


def trace(layer, x, training):
    """Output, gradients for a fixed random direction, and the weights afterwards."""

    @tf.function
    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=training) if training is not None else layer(x)
            direction = tf.cast(images(tuple(y.shape), seed=2), tf.float32)
            loss = tf.reduce_sum(tf.cast(y, tf.float32) * direction)
        return y, tape.gradient(loss, [x, *layer.trainable_variables])

    y, gradients = run(tf.convert_to_tensor(x))
    return [np.asarray(t, np.float64) for t in [y, *gradients, *layer.get_weights()]]


def assert_close(ours, theirs, tolerance):
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, atol=tolerance * (1e-3 + np.abs(b).max()))


# Activation


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 2e-6), ("mixed_bfloat16", 2e-2)])
def test_gelu_equals_the_plain_layer(dtype, tolerance, training):
    x = images((3, 5, 5, 7))
    expected = trace(keras.layers.Activation("gelu"), x, None)
    assert_close(trace(FastActivation("gelu", dtype=dtype), x, training), expected, tolerance)


def test_gelu_far_from_zero_has_no_nan():
    x = np.float32([-1e30, -50, -1e-30, 0, 1e-30, 50, 1e30])
    outputs, slopes = trace(FastActivation("gelu"), x, True)
    expected = np.maximum(x, 0) * [1, 1, 1, 1, 0.5, 1, 1]
    assert (np.abs(outputs - expected) <= 2e-7 * np.abs(x) + 1e-30).all()
    np.testing.assert_allclose(slopes / images(x.shape, seed=2), [0, 0, 0.5, 0.5, 0.5, 1, 1], atol=1e-6)


@pytest.mark.parametrize("activation", ["relu", "softmax", "linear", "tanh"])
def test_other_activations_are_those_of_the_plain_layer(activation):
    x = images((3, 4))
    ours, theirs = (trace(kind(activation), x, None) for kind in (FastActivation, keras.layers.Activation))
    assert_close(ours, theirs, 0)


# Batch normalisation

PLAIN_NORM = keras.layers.BatchNormalization


@settings(max_examples=25, deadline=None)
@given(
    st.tuples(*[st.integers(1, n) for n in (5, 4, 3, 6)]).filter(lambda s: s[0] * s[1] * s[2] > 1),
    st.booleans(),
    st.fixed_dictionaries(
        {
            "momentum": st.sampled_from([0.0, 0.5, 0.99]),
            "epsilon": st.sampled_from([1e-6, 1e-3]),
            "center": st.booleans(),
            "scale": st.booleans(),
        }
    ),
)
def test_fused_normalisation_equals_the_plain_layer(shape, training, options):
    x = images(shape)
    plain, fast = pair(PLAIN_NORM, FusedBatchNormalization, x, **options)
    ours, theirs = trace(fast, x, training), trace(plain, x, training)
    # with few values a channel, tiny variances blow up what rounding leaves
    assert_close(ours, theirs, 1e-5 if shape[0] * shape[1] * shape[2] > 8 else 1e-2)
    assert_close(ours[-2:], theirs[-2:], 1e-6)


def test_fused_normalisation_equals_the_definition():
    x = images((2, 1, 2, 3))
    layer = FusedBatchNormalization(momentum=0.9)
    y = layer(x, training=True)
    flat = x.reshape(-1, 3).astype(np.float64)
    mean, variance = flat.mean(axis=0), flat.var(axis=0)  # variance without Bessel's correction
    np.testing.assert_allclose(y, ((flat - mean) / np.sqrt(variance + 1e-3)).reshape(x.shape), atol=1e-5)
    np.testing.assert_allclose(layer.moving_mean, 0.1 * mean, rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, 0.9 + 0.1 * variance, rtol=1e-5)


def test_one_value_a_channel_is_no_division_by_zero():
    layer = FusedBatchNormalization(momentum=0.5)
    np.testing.assert_array_equal(layer(images((1, 1, 1, 3)), training=True), 0)
    np.testing.assert_array_equal(layer.moving_variance, 0.5)


@pytest.mark.parametrize("training", [True, False])
def test_fused_normalisation_of_bfloat16_computes_in_float32(training):
    x = tf.cast(images((8, 6, 6, 4)), tf.bfloat16)
    plain, fast = pair(PLAIN_NORM, FusedBatchNormalization, x, dtype="mixed_bfloat16")
    assert fast(x, training=training).dtype == tf.bfloat16
    randomise(fast)
    ours, theirs = trace(fast, x, training), trace(plain, x, training)
    assert_close(ours[:-2], theirs[:-2], 2**-7)
    assert_close(ours[-2:], theirs[-2:], 1e-6)


def test_a_frozen_layer_keeps_its_statistics():
    x = images()
    plain, fast = pair(PLAIN_NORM, FusedBatchNormalization, x)
    plain.trainable = fast.trainable = False
    assert_close(trace(fast, x, True), trace(plain, x, True), 1e-5)


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((6, 5), {}),
        ((6, 4, 5), {}),
        ((6, 4, 5, 2, 3), {}),
        ((6, 4, 5, 3), {"axis": 1}),
        ((6, 4, 5, 3), {"renorm": True}),
        ((6, 4, 5, 3), {"dtype": "float64"}),
    ],
)
def test_what_the_kernel_cannot_do_goes_the_plain_way(shape, options):
    x = images(shape, dtype=options.get("dtype", np.float32))
    plain, fast = pair(PLAIN_NORM, FusedBatchNormalization, x, **options)
    for training in (True, False):
        assert_close(trace(fast, x, training), trace(plain, x, training), 1e-6)


def test_a_mask_goes_the_plain_way():
    x, mask = images(), np.random.default_rng(0).random((6, 4, 5)) < 0.5
    plain, fast = pair(PLAIN_NORM, FusedBatchNormalization, x)
    np.testing.assert_array_equal(fast(x, training=True, mask=mask), plain(x, training=True, mask=mask))


# Convolution


@pytest.mark.parametrize("activation", [None, "relu"])
@pytest.mark.parametrize("options", [{}, {"use_bias": False}, {"strides": 2}, {"groups": 3, "padding": "same"}])
def test_fast_convolution_equals_the_plain_layer(activation, options):
    x = images((5, 9, 7, 3))
    options = {"filters": 6, "kernel_size": 3, "activation": activation} | options
    plain, fast = pair(keras.layers.Conv2D, FastConv2D, x, **options)
    assert_close(trace(fast, x, None), trace(plain, x, None), 1e-5)


# Dropout


@settings(max_examples=20, deadline=None)
@given(st.floats(0.01, 0.99), st.integers(0, 2**31 - 1))
def test_dropout_keeps_its_share_and_the_expectation(rate, seed):
    n = 40_000
    y = np.asarray(FastDropout(rate, seed=seed)(np.ones((100, 400), np.float32), training=True))
    kept = np.count_nonzero(y) / n
    six_sigma = 6 * np.sqrt(rate * (1 - rate) / n)
    assert abs(kept - (1 - rate)) < six_sigma + 1 / 512
    values = np.unique(y[y > 0])
    assert len(values) == 1
    assert abs(kept * values[0] - 1) < six_sigma / (1 - rate - 1 / 256) + 1e-6


def test_the_expectation_is_exact_although_the_rate_is_rounded():
    x = np.ones((64, 64), np.float32)
    y = np.asarray(FastDropout(0.3, seed=0)(x, training=True))
    assert y.max() == np.float32(256 / (256 - 77))


def test_every_byte_of_a_word_drops_alike():
    y = np.asarray(FastDropout(0.5, seed=3)(np.ones((4096, 8), np.float32), training=True)) > 0
    np.testing.assert_allclose(y.mean(axis=0), 0.5, atol=6 * 0.5 / 64)
    np.testing.assert_allclose(np.corrcoef(y.T), np.eye(8), atol=6 / 64)


@pytest.mark.parametrize("shape", [(1,), (7,), (3, 5, 1, 3), (0, 4)])
def test_dropout_fits_every_shape(shape):
    assert FastDropout(0.5)(np.ones(shape, np.float32), training=True).shape == shape


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_the_mask_is_a_pure_function_of_the_seed_state(dtype):
    layer = FastDropout(0.4, seed=5, dtype=dtype)
    run = tf.function(lambda x: layer(x, training=True))
    x = tf.ones((16, 9, 9, 3))
    (state,) = layer.variables
    start = state.numpy()
    first, second = run(x).numpy(), run(x).numpy()
    assert (first != second).any()
    state.assign(start)
    np.testing.assert_array_equal(run(x), first)
    np.testing.assert_array_equal(run(x), second)


def test_gradients_pass_where_values_passed():
    x = tf.Variable(images((50, 20)))
    with tf.GradientTape() as tape:
        y = FastDropout(0.25, seed=1)(x, training=True)
    np.testing.assert_allclose(tape.gradient(y, x), np.where(y == 0, 0, 256 / 192), rtol=1e-6)


@pytest.mark.parametrize("rate", [0, 0.001, 0.999, 1])
def test_rates_that_a_byte_cannot_tell_from_none_or_all_go_the_plain_way(rate):
    x = np.ones((1000, 100), np.float32)
    y = np.asarray(FastDropout(rate, seed=1)(x, training=True))
    assert abs(np.mean(y == 0) - rate) < 0.001
    np.testing.assert_array_equal(FastDropout(rate)(x, training=False), x)


def test_noise_shared_along_an_axis_goes_the_plain_way():
    y = np.asarray(FastDropout(0.5, noise_shape=(None, 1), seed=0)(np.ones((64, 5), np.float32), training=True))
    assert (y == y[:, :1]).all()


def test_dropout_does_nothing_in_inference():
    x = images()
    np.testing.assert_array_equal(FastDropout(0.5)(x), x)
