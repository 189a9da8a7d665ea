import keras
import numpy as np
import pytest
from keras import layers, ops

from evacli import models
from evacli.errors import ModelError
from evacli.models.logits import ends_in_softmax, logits_model

SHAPE, CLASSES = (8, 8, 3), 4


def batch():
    return np.random.default_rng(0).normal(size=(5, *SHAPE)).astype(np.float32)


def functional(end):
    x = keras.Input(SHAPE)
    return keras.Model(x, end(layers.Conv2D(6, 3, activation="relu")(x)))


def dense(x, **kwargs):
    return layers.Dense(CLASSES, **kwargs)(layers.GlobalAveragePooling2D()(x))


def sequential(*last):
    return keras.Sequential([keras.Input(SHAPE), layers.Conv2D(6, 3), layers.GlobalMaxPooling2D(), *last])


def nested(inner, **kwargs):
    x = keras.Input(SHAPE)
    return keras.Model(x, inner(layers.Rescaling(2.0)(x), **kwargs))


def normalised_inner():
    return sequential(layers.BatchNormalization(), layers.Dense(CLASSES, "softmax"))


MODELS = {
    "Softmax layer": lambda: functional(lambda x: layers.Softmax()(dense(x))),
    "Activation layer": lambda: functional(lambda x: layers.Activation("softmax")(dense(x))),
    "operation": lambda: functional(lambda x: ops.softmax(dense(x))),
    "Dense activation": lambda: functional(lambda x: dense(x, activation="softmax")),
    "Dense without bias": lambda: functional(lambda x: dense(x, activation="softmax", use_bias=False)),
    "Conv activation": lambda: functional(layers.Conv2D(CLASSES, 6, activation="softmax")),
    "sequential, layer": lambda: sequential(layers.Dense(CLASSES), layers.Softmax()),
    "sequential, activation": lambda: sequential(layers.Dense(CLASSES, "softmax")),
    "nested": lambda: nested(functional(lambda x: layers.Softmax()(dense(x)))),
    "nested, activation": lambda: nested(functional(lambda x: dense(x, activation="softmax"))),
    "nested sequential": lambda: nested(sequential(layers.Dense(CLASSES, "softmax"))),
    "nested twice": lambda: nested(nested(sequential(layers.Dense(CLASSES, "softmax")))),
    "nested, inference only": lambda: nested(normalised_inner(), training=False),
    "eva": lambda: models.build("eva", SHAPE, CLASSES, (0, 0, 0), (1, 1, 1)),
}


def reloaded(model, tmp_path):
    model.save(tmp_path / "m.keras")
    return keras.models.load_model(tmp_path / "m.keras")


@pytest.mark.parametrize("case", MODELS)
@pytest.mark.parametrize("again", [False, True], ids=["made", "loaded"])
def test_the_softmax_of_the_scores_is_the_model(case, again, tmp_path):
    model = MODELS[case]()
    model = reloaded(model, tmp_path) if again else model
    before, config = model(batch()), model.get_config()
    scores = logits_model(model)
    assert scores.output_shape == model.output_shape
    np.testing.assert_allclose(keras.ops.softmax(scores(batch())), before, atol=1e-6)
    assert not np.allclose(np.asarray(scores(batch())).sum(axis=1), 1, atol=1e-3)
    # the model that it was made from still does what it did
    np.testing.assert_array_equal(model(batch()), before)
    assert model.get_config() == config


@pytest.mark.parametrize("case", MODELS)
def test_weights_are_shared_in_the_same_order(case):
    model = MODELS[case]()
    scores = logits_model(model)
    assert [id(v) for v in scores.weights] == [id(v) for v in model.weights]
    assert [id(v) for v in scores.trainable_variables] == [id(v) for v in model.trainable_variables]


def test_layers_before_the_softmax_keep_their_names():
    model = models.build("eva", SHAPE, CLASSES, (0, 0, 0), (1, 1, 1))
    assert [layer.name for layer in logits_model(model).layers] == [layer.name for layer in model.layers[:-1]]


@pytest.mark.parametrize("arguments", [{}, {"training": False}])
def test_scores_follow_the_model_in_training_mode_as_well(arguments):
    model = nested(normalised_inner(), **arguments)
    expected = model(batch(), training=True)
    np.testing.assert_allclose(ops.softmax(logits_model(model)(batch(), training=True)), expected, atol=1e-6)


def test_scores_tell_apart_what_softmax_saturates():
    model = sequential(
        layers.Dense(CLASSES, "softmax", bias_initializer=keras.initializers.Constant([0, 500, 1000, 2000]))
    )
    np.testing.assert_array_equal(np.asarray(model(batch()))[:, :3], 0)
    assert np.ptp(np.asarray(logits_model(model)(batch()))) > 1900


@pytest.mark.parametrize("fitted", [False, True])
def test_training_through_the_scores_trains_the_model(fitted):
    model = MODELS["nested, activation"]()
    if fitted:
        model.compile(loss="sparse_categorical_crossentropy")
        model.fit(batch(), np.zeros(5, int), verbose=0)
    before = np.asarray(model(batch()))[:, 2]
    scores = logits_model(model)
    scores.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    scores.fit(batch(), np.full(5, 2), epochs=3, verbose=0)
    assert (np.asarray(model(batch()))[:, 2] > before).all()


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(CLASSES, "softmax")

    def call(self, x):
        return self.dense(ops.mean(x, (1, 2)))


NO_SCORES = {
    "sigmoid": lambda: functional(lambda x: dense(x, activation="sigmoid")),
    "linear": lambda: functional(dense),
    "softmax further up": lambda: functional(
        lambda x: layers.GlobalAveragePooling2D()(layers.Conv2D(CLASSES, 1, activation="softmax")(x))
    ),
    "subclassed": Subclassed,
    "never built": lambda: keras.Sequential([layers.Dense(CLASSES, "softmax")]),
    "two outputs": lambda: functional(lambda x: [dense(x, activation="softmax")] * 2),
    "nested subclassed": lambda: nested(Subclassed()),
}


@pytest.mark.parametrize("case", NO_SCORES)
def test_models_without_a_softmax_at_their_end_are_refused(case):
    model = NO_SCORES[case]()
    assert not ends_in_softmax(model)
    with pytest.raises(ModelError) as error:
        logits_model(model)
    assert model.name in error.value.message or "nested" in case
    assert error.value.fix
