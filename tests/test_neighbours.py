"""The nearest training images, in networks whose last layers differ."""

import keras
import numpy as np
import pytest
from keras import layers

from evacli import engine
from evacli.data.images import InMemory
from evacli.engine.base import as_it_is, mirrored
from evacli.engine.single import BATCH_SIZE
from evacli.models import build

SHAPE = (16, 16, 3)


def dense_after_pooling():
    x = inputs = keras.Input(SHAPE)
    x = layers.GlobalAveragePooling2D(name="last")(layers.Conv2D(6, 3)(x))
    return keras.Model(inputs, layers.Dense(3, activation="softmax")(x)), "last"


def scores_from_feature_maps():
    x = inputs = keras.Input(SHAPE)
    x = layers.Conv2D(3, 1)(layers.Conv2D(6, 3, activation="relu", name="last")(x))
    return keras.Model(inputs, layers.Softmax()(layers.GlobalAveragePooling2D()(x))), "last"


def nested_backbone():
    model, _ = dense_after_pooling()
    backbone = keras.Model(model.inputs[0], model.get_layer("last").output, name="last")
    inputs = keras.Input(SHAPE)
    x = layers.Dropout(0.5)(layers.BatchNormalization()(backbone(inputs)))
    return keras.Model(inputs, layers.Dense(3, activation="softmax")(x)), "batch_normalization"


@pytest.mark.parametrize("network", [dense_after_pooling, scores_from_feature_maps, nested_backbone])
def test_the_embedding_is_what_the_last_layer_with_a_kernel_is_given(network):
    keras.utils.set_random_seed(1)
    model, last = network()
    images = np.random.default_rng(1).integers(0, 256, (BATCH_SIZE + 20, *SHAPE), np.uint8)
    layer = next(one for one in model.layers if one.name.startswith(last))
    given = keras.Model(model.inputs[0], layer.output)(images.astype(np.float32), training=False).numpy()
    given = given.mean(axis=(1, 2)) if given.ndim == 4 else given
    given /= np.linalg.norm(given, axis=1, keepdims=True)
    found, plain = [], engine.create().predict(model, InMemory(images), [as_it_is, mirrored], lambda done: None)
    said = engine.create().predict(model, InMemory(images), [as_it_is, mirrored], lambda done: None, found.append)
    assert [len(vectors) for vectors in found] == [BATCH_SIZE, 20]
    np.testing.assert_allclose(np.concatenate(found), given, atol=1e-5)
    np.testing.assert_allclose(said, plain, atol=1e-5)


@pytest.mark.parametrize("name", ["eva", "airbench_small"])
def test_the_networks_on_offer_have_one(name):
    model = build(name, SHAPE, 3, (120, 120, 120), (60, 60, 60))
    images = InMemory(np.random.default_rng(1).integers(0, 256, (4, *SHAPE), np.uint8))
    found = []
    engine.create().predict(model, images, [as_it_is], lambda done: None, found.append)
    (vectors,) = found
    assert vectors.shape[1] > 10
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
