import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops, regularizers

from evacli import models
from evacli.engine.fast.layers import FastConv2D, FastDropout, FusedBatchNormalization
from evacli.engine.fast.twin import training_twin
from evacli.errors import ModelError
from evacli.models.logits import _WithoutActivation

SHAPE, CLASSES = (8, 8, 3), 4
PLAIN = (layers.BatchNormalization, layers.Conv2D, layers.Dropout)
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (24, *SHAPE)).astype(np.uint8)
LABELS = RNG.integers(0, CLASSES, 24).astype(np.int32)


def built_in(name):
    return lambda: models.build(name, SHAPE, CLASSES, (120, 115, 110), (60, 61, 62))


def inner(**options):
    return keras.Sequential(
        [
            keras.Input(SHAPE),
            layers.Conv2D(6, 3, activation="relu", kernel_regularizer=regularizers.L2(0.01)),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            layers.GlobalAveragePooling2D(),
            layers.Dense(CLASSES, **options),
        ]
    )


def nested():
    pixels = keras.Input(SHAPE)
    x = layers.Rescaling(1 / 255)(pixels)
    return keras.Model(pixels, inner(activation="softmax")(x))


def nested_scores():
    pixels = keras.Input(SHAPE)
    return keras.Model(pixels, layers.Softmax()(inner()(layers.Rescaling(1 / 255)(pixels))))


def shared():
    pixels = keras.Input(SHAPE)
    x = layers.Conv2D(4, 1)(layers.Rescaling(1 / 255)(pixels))
    again = layers.Conv2D(4, 3, padding="same")
    x = layers.GlobalMaxPooling2D()(again(again(x)))
    return keras.Model(pixels, layers.Softmax()(x * 2.0 + x[:, ::-1]))


MODELS = {
    "eva": built_in("eva"),
    "airbench_small": built_in("airbench_small"),
    "resnet20": built_in("resnet20"),
    "nested": nested,
    "nested scores": nested_scores,
    "shared layers and operations": shared,
}
CASES = [pytest.param(name, marks=[pytest.mark.long] * (name in ("resnet20", "airbench_small"))) for name in MODELS]


@pytest.fixture(autouse=True)
def _same_weights_in_every_order_of_tests():
    # A ReLU whose input happens to be zero but for rounding has another gradient on another kernel.
    keras.utils.set_random_seed(0)


def flat(model):
    return [layer for layer in model._flatten_layers(include_self=False) if not isinstance(layer, keras.Model)]


def randomised(model):
    random = np.random.default_rng(0)
    for v in model.weights:
        v.assign(v + random.uniform(0, 0.1, v.shape))
    return model


def without_dropout(model):
    for layer in flat(model):
        if isinstance(layer, layers.Dropout):
            layer.rate = 0.0
    return model


def step(model, from_logits):
    """A function that takes an SGD step and returns loss and gradients, and its optimizer."""
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=from_logits)
    optimizer = keras.optimizers.SGD(0.01, momentum=0.9)
    optimizer.build(model.trainable_variables)

    @tf.function
    def run(images, labels):
        with tf.GradientTape() as tape:
            loss = loss_of(labels, model(images, training=True)) + sum(model.losses)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)
        return loss, gradients

    return lambda: run(IMAGES, LABELS), optimizer


def assert_close(ours, theirs, tolerance):
    for a, b in zip(ours, theirs, strict=True):
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        assert np.linalg.norm(a - b) <= tolerance * (np.linalg.norm(b) + 1e-3)


@pytest.mark.parametrize("case", CASES)
def test_the_float32_twin_is_the_plain_model(case):
    plain = without_dropout(randomised(MODELS[case]()))
    twin = training_twin(plain, "float32")
    np.testing.assert_allclose(ops.softmax(twin(IMAGES)), plain(IMAGES), atol=1e-5)
    np.testing.assert_allclose(ops.softmax(twin(IMAGES, training=True)), plain(IMAGES, training=True), atol=1e-5)
    twin.set_weights(plain.get_weights())
    plain_step, _ = step(plain, from_logits=False)
    twin_step, _ = step(twin, from_logits=True)
    for _ in range(3):
        (our_loss, our_gradients), (loss, gradients) = twin_step(), plain_step()
        np.testing.assert_allclose(our_loss, loss, rtol=1e-4)
        assert_close(our_gradients, gradients, 1e-3)
    # weights and moving statistics after three steps
    assert_close(twin.get_weights(), plain.get_weights(), 1e-4)


@pytest.mark.parametrize("case", MODELS)
def test_weights_go_to_and_fro_unchanged(case):
    plain = randomised(MODELS[case]())
    before = plain.get_weights()
    twin = training_twin(plain, "bfloat16")
    assert [(v.path.split("/")[-1], v.shape, v.dtype) for v in twin.weights] == [
        (v.path.split("/")[-1], v.shape, v.dtype) for v in plain.weights
    ]
    assert not {id(v) for v in twin.weights} & {id(v) for v in plain.weights}
    for a, b in zip(twin.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)
    twin.set_weights([weight + 1 for weight in before])
    plain.set_weights(twin.get_weights())
    for a, b in zip(plain.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert any((a != b).any() for a, b in zip(plain.get_weights(), before, strict=True))


@pytest.mark.parametrize("case", MODELS)
def test_the_twin_runs_on_the_fast_layers_and_the_model_stays_plain(case):
    plain = MODELS[case]()
    config = plain.get_config()
    kinds = {type(layer) for layer in flat(training_twin(plain, "float32"))}
    assert not kinds & set(PLAIN)
    assert FastConv2D in kinds
    assert plain.get_config() == config
    assert not {type(layer) for layer in flat(plain)} & {FastConv2D, FastDropout, FusedBatchNormalization}


@pytest.mark.parametrize("case", CASES)
def test_the_bfloat16_twin_computes_the_same_less_exactly(case):
    plain = without_dropout(randomised(MODELS[case]()))
    twin = training_twin(plain, "bfloat16")
    scores = twin(IMAGES)
    assert scores.dtype == tf.float32
    assert {v.dtype for v in twin.weights} == {"float32"}
    assert any(layer.compute_dtype == "bfloat16" for layer in flat(twin))
    np.testing.assert_allclose(ops.softmax(scores), plain(IMAGES), atol=0.05)
    (loss, gradients), (plain_loss, plain_gradients) = step(twin, True)[0](), step(plain, False)[0]()
    np.testing.assert_allclose(loss, plain_loss, rtol=0.03)
    ours, theirs = (np.concatenate([np.ravel(g) for g in gs]) for gs in (gradients, plain_gradients))
    assert ours @ theirs / np.linalg.norm(ours) / np.linalg.norm(theirs) > 0.98


@pytest.mark.parametrize("case", MODELS)
def test_only_pixels_and_scores_stay_in_float32(case):
    kinds = [
        type(layer) for layer in flat(training_twin(MODELS[case](), "bfloat16")) if layer.compute_dtype == "float32"
    ]
    allowed = {layers.InputLayer, layers.Rescaling, layers.GlobalAveragePooling2D, layers.Dense, layers.Activation}
    assert layers.Rescaling in kinds
    assert set(kinds) - allowed <= {_WithoutActivation}
    assert FastConv2D not in kinds


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_step_from_restored_variables_is_bit_identical(precision):
    twin = training_twin(built_in("eva")(), precision)
    run, optimizer = step(twin, from_logits=True)
    run()
    variables = [*twin.variables, *optimizer.variables]
    saved = [v.numpy() for v in variables]
    run()
    after = twin.get_weights()
    for v, value in zip(variables, saved, strict=True):
        v.assign(value)
    run()
    for a, b in zip(twin.get_weights(), after, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_twin_is_the_same_after_the_same_seed():
    def trained():
        keras.utils.set_random_seed(7)
        twin = training_twin(built_in("eva")(), "float32")
        step(twin, from_logits=True)[0]()
        return twin.get_weights()

    for a, b in zip(trained(), trained(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_frozen_backbone_stays_frozen():
    model = nested()
    model.layers[-1].layers[0].trainable = False
    twin = training_twin(model, "float32")
    assert [v.shape for v in twin.trainable_variables] == [v.shape for v in model.trainable_variables]


class Unclonable(layers.Layer):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def call(self, x):
        return x * self.factor


def test_a_model_that_cannot_be_cloned_is_refused():
    pixels = keras.Input(SHAPE)
    model = keras.Model(pixels, layers.Dense(CLASSES, "softmax")(layers.Flatten()(Unclonable(0.01)(pixels))))
    with pytest.raises(ModelError, match="cannot be made anew"):
        training_twin(model, "bfloat16")


def test_a_model_without_scores_has_no_twin():
    pixels = keras.Input(SHAPE)
    with pytest.raises(ModelError):
        training_twin(keras.Model(pixels, layers.Dense(CLASSES, "sigmoid")(layers.Flatten()(pixels))), "float32")
