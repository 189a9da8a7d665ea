from itertools import product

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st
from keras import layers

from evacli.errors import ConfigError
from evacli.explaining import heatmap
from evacli.explaining.heatmap import grad_cam, heat_maps
from evacli.explaining.layers import choose_layer, feature_maps
from evacli.models import build
from evacli.models.logits import logits_model

SHAPE = (8, 8, 3)


def pixels(n: int, shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    return np.random.default_rng(n).integers(0, 256, (n, *shape), np.uint8)


def backbone(x):
    x = layers.Rescaling(1 / 255)(x)
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="early")(x)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.MaxPooling2D(name="pool")(x)
    return layers.Conv2D(5, 3, padding="same", activation="relu", name="late")(x)


def head(x):
    x = layers.Dropout(0.5)(layers.Flatten(name="flat")(x))
    return layers.Dense(3, activation="softmax", name="head")(x)


@pytest.fixture(scope="module")
def flat() -> keras.Model:
    keras.utils.set_random_seed(3)
    x = keras.Input(SHAPE)
    return keras.Model(x, head(backbone(x)))


def nested(flat: keras.Model) -> keras.Model:
    inner, x = keras.Input(SHAPE), keras.Input(SHAPE)
    body = keras.Model(inner, backbone(inner), name="body")
    model = keras.Model(x, head(keras.Sequential([keras.Input(SHAPE), body], name="outer")(x)))
    model.set_weights(flat.get_weights())
    return model


def sequential(flat: keras.Model) -> keras.Model:
    clones = [layer.__class__.from_config(layer.get_config()) for layer in flat.layers[1:]]
    model = keras.Sequential([keras.Input(SHAPE), *clones])
    model.set_weights(flat.get_weights())
    return model


class Subclassed(keras.Model):
    """Builds its graph by hand inside `call`; only usable as a part of a functional model."""

    def __init__(self) -> None:
        super().__init__(name="by_hand")
        self.rescale, self.early = layers.Rescaling(1 / 255), layers.Conv2D(4, 3, padding="same", activation="relu")
        self.norm, self.pool = layers.BatchNormalization(), layers.MaxPooling2D(name="pool")
        self.late = layers.Conv2D(5, 3, padding="same", activation="relu", name="late")

    def call(self, x, training=False):
        return self.late(self.pool(self.norm(self.early(self.rescale(x)), training=training)))


def subclassed(flat: keras.Model) -> keras.Model:
    x = keras.Input(SHAPE)
    model = keras.Model(x, head(Subclassed()(x)))
    model.set_weights(flat.get_weights())
    return model


def by_definition(features: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """Equations 1 and 2 of the paper, spelled out in loops."""
    maps = np.zeros(features.shape[:3])
    for n in range(len(features)):
        for k in range(features.shape[-1]):
            maps[n] += gradients[n, :, :, k].mean() * features[n, :, :, k]
        maps[n] = np.maximum(maps[n], 0)
        maps[n] /= maps[n].max() + 1e-7
    return maps


def test_agrees_with_finite_differences_of_the_score():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((6, 6, 3), dtype="float64"),
            layers.Rescaling(1 / 255, dtype="float64"),
            layers.Conv2D(3, 3, activation="tanh", dtype="float64", name="map"),
            layers.Flatten(dtype="float64"),
            layers.Dense(8, activation="tanh", dtype="float64", name="hidden"),
            layers.Dense(4, activation="softmax", dtype="float64", name="classes"),
        ]
    )
    images, classes = pixels(3, (6, 6, 3)), np.array([2, 0, 3])
    features = keras.Model(model.inputs[0], model.get_layer("map").output)(images.astype(np.float64)).numpy()
    w1, b1 = model.get_layer("hidden").get_weights()
    w2, b2 = model.get_layer("classes").get_weights()

    def score(feature_map: np.ndarray, label: int) -> float:
        return float((np.tanh(feature_map.reshape(-1) @ w1 + b1) @ w2 + b2)[label])

    gradients, step = np.zeros_like(features), 1e-6
    for place in np.ndindex(*features.shape[1:]):
        for n, label in enumerate(classes):
            nudge = np.zeros(features.shape[1:])
            nudge[place] = step
            gradients[n][place] = (score(features[n] + nudge, label) - score(features[n] - nudge, label)) / (2 * step)

    maps = grad_cam(model, images, classes, "map")
    assert maps.dtype == np.float32
    assert maps.max() > 0.5
    np.testing.assert_allclose(maps, by_definition(features, gradients), atol=2e-6)


def test_variants_are_what_their_papers_say(flat):
    """Each in loops over pixels and channels, from features and gradients that TensorFlow gives of an inner model."""
    images, classes = pixels(3), np.array([0, 2, 1])
    scores = logits_model(flat)
    inner = keras.Model(scores.inputs[0], [flat.get_layer("late").output, scores.output])
    with tf.GradientTape() as tape:
        features, given = inner(images.astype(np.float32), training=False)
        chosen = tf.gather(given, classes, axis=1, batch_dims=1)
    gradients = tape.gradient(chosen, features).numpy().astype(float)
    features = features.numpy().astype(float)
    n, height, width, channels = features.shape
    wanted = {name: np.zeros((n, height, width)) for name in ("gradcam++", "hirescam", "layercam")}
    for b in range(n):
        for k in range(channels):
            a, g = features[b, :, :, k], gradients[b, :, :, k]
            weight = 0.0
            for i in range(height):
                for j in range(width):
                    below = 2 * g[i, j] ** 2 + a.sum() * g[i, j] ** 3
                    weight += (g[i, j] ** 2 / below if below else 0.0) * max(g[i, j], 0.0)
                    wanted["hirescam"][b, i, j] += a[i, j] * g[i, j]
                    wanted["layercam"][b, i, j] += a[i, j] * max(g[i, j], 0.0)
            wanted["gradcam++"][b] += weight * a
    for method, maps in wanted.items():
        maps = np.maximum(maps, 0)
        maps /= maps.max(axis=(1, 2), keepdims=True) + 1e-7
        assert np.abs(heat_maps(flat, images, classes, "late", method) - maps).max() < 1e-4, method


def test_occlusion_is_the_probability_that_a_grey_square_takes_away(flat):
    images, classes = pixels(2), np.array([[0, 2], [1, 0]])
    whole, drops = flat(images.astype(np.float32)).numpy(), np.zeros((2, 2, 8, 8))
    for b, i, j in product(range(2), range(8), range(8)):
        covered = images[b].astype(np.float32)
        covered[max(0, i - 1) : i + 1, max(0, j - 1) : j + 1] = 128  # a quarter of each side, 2 pixels
        drops[b, :, i, j] = np.maximum(0, whole[b] - flat(covered[None]).numpy()[0])[classes[b]]
    assert (drops.max(axis=(2, 3)) > 0).all()
    wanted = drops / drops.max(axis=(2, 3), keepdims=True)
    assert np.abs(heat_maps(flat, images, classes, method="occlusion") - wanted).max() < 1e-3


def test_is_cam_where_pooling_and_a_linear_layer_follow():
    keras.utils.set_random_seed(5)
    x = keras.Input(SHAPE)
    features = layers.Conv2D(6, 3, activation="relu", name="map")(layers.Rescaling(1 / 255)(x))
    scores = layers.Dense(4, name="linear")(layers.GlobalAveragePooling2D()(features))
    model = keras.Model(x, layers.Softmax()(scores))
    images, classes = pixels(4), np.array([0, 1, 2, 3])
    activations = keras.Model(x, features)(images.astype(np.float32)).numpy()
    kernel = model.get_layer("linear").get_weights()[0]  # (K, C)
    cam = np.maximum(np.einsum("nhwk,kn->nhw", activations, kernel[:, classes]), 0)
    area = activations.shape[1] * activations.shape[2]  # the gradient's mean is the weight over the area
    expected = (cam / area) / (cam.max(axis=(1, 2), keepdims=True) / area + 1e-7)
    np.testing.assert_allclose(grad_cam(model, images, classes), expected, atol=1e-5)


def test_a_head_of_class_channels_shows_the_channel_of_the_class():
    model = build("eva", (16, 16, 3), 4, (120, 120, 120), (60, 60, 60))
    images, classes = pixels(4, (16, 16, 3)), np.array([3, 0, 2, 1])
    channels = keras.Model(model.inputs[0], model.get_layer("class_maps").output)(images.astype(np.float32)).numpy()
    own = np.maximum(np.stack([channels[n, :, :, c] for n, c in enumerate(classes)]), 0)
    scaled = (own / 4) / (own.max(axis=(1, 2), keepdims=True) / 4 + 1e-7)  # 2x2 pixels
    np.testing.assert_allclose(grad_cam(model, images, classes), scaled, atol=1e-5)


@pytest.mark.parametrize("chunk", [2, 256])
def test_each_image_of_a_batch_has_its_own_class(flat, monkeypatch, chunk):
    monkeypatch.setattr(heatmap, "CHUNK", chunk)
    images, classes = pixels(5), np.array([0, 2, 1, 1, 0])
    together = grad_cam(flat, images, classes)
    alone = [grad_cam(flat, images[i : i + 1], classes[i : i + 1])[0] for i in range(5)]
    assert together.shape == (5, 4, 4)
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_several_classes_an_image_equal_one_after_the_other(flat):
    images, classes = pixels(4), np.array([[0, 2], [1, 1], [2, 0], [1, 2]])
    both = grad_cam(flat, images, classes)
    assert both.shape == (4, 2, 4, 4)
    np.testing.assert_allclose(both[:, 0], grad_cam(flat, images, classes[:, 0]), atol=1e-6)
    np.testing.assert_allclose(both[:, 1], grad_cam(flat, images, classes[:, 1]), atol=1e-6)


def test_one_forward_pass_whatever_the_number_of_images_and_classes(flat, monkeypatch):
    batches = []
    original = logits_model

    def counted(model):
        scores = original(model)
        call = scores.call
        scores.call = lambda inputs, **kwargs: (batches.append(inputs.shape[0]), call(inputs, **kwargs))[1]
        return scores

    monkeypatch.setattr(heatmap, "logits_model", counted)
    heatmap._pass.cache_clear()
    grad_cam(flat, pixels(7), np.zeros((7, 3), int))
    assert batches == [7]
    grad_cam(flat, pixels(7), np.ones((7, 3), int))
    assert batches == [7]  # the second call runs the graph of the first


def test_a_second_call_sees_what_the_network_has_learnt_since(flat):
    model = keras.models.clone_model(flat)
    images, classes = pixels(3), np.array([0, 1, 2])
    before = grad_cam(model, images, classes)
    model.set_weights(flat.get_weights())
    after, expected = grad_cam(model, images, classes), grad_cam(flat, images, classes)
    assert np.abs(after - before).max() > 0.01
    np.testing.assert_allclose(after, expected, atol=1e-6)


@pytest.mark.parametrize("layer", [None, "late", "pool"])
def test_the_same_network_in_another_form_has_the_same_maps(flat, layer):
    images, classes = pixels(3), np.array([0, 1, 2])
    expected = grad_cam(flat, images, classes, layer)
    assert expected.max() > 0
    for form in (nested, sequential, subclassed):
        np.testing.assert_allclose(grad_cam(form(flat), images, classes, layer), expected, atol=1e-5)


@pytest.mark.parametrize("form", [lambda flat: flat, nested, sequential])
def test_a_reloaded_model_has_the_same_maps(flat, form, tmp_path):
    model, images, classes = form(flat), pixels(3), np.array([0, 1, 2])
    model.save(tmp_path / "model.keras")
    reloaded = keras.models.load_model(tmp_path / "model.keras")
    assert choose_layer(reloaded, SHAPE) == choose_layer(model, SHAPE)
    np.testing.assert_allclose(grad_cam(reloaded, images, classes), grad_cam(model, images, classes), atol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_gives_the_same_picture(flat, policy):
    keras.config.set_dtype_policy(policy)
    try:
        x = keras.Input(SHAPE)
        model = keras.Model(x, head(backbone(x)))
    finally:
        keras.config.set_dtype_policy("float32")
    model.set_weights(flat.get_weights())
    images, classes = pixels(6), np.array([0, 1, 2, 0, 1, 2])
    maps = grad_cam(model, images, classes)
    assert maps.dtype == np.float32
    assert np.abs(maps - grad_cam(flat, images, classes)).mean() < 0.03


def test_a_saturated_softmax_does_not_blind_it(flat):
    model = keras.models.clone_model(flat)
    *weights, kernel, bias = flat.get_weights()
    model.set_weights([*weights, kernel * 1e5, bias])
    images = pixels(5)
    probabilities = model.predict_on_batch(images.astype(np.float32))
    predicted = probabilities.argmax(axis=1)
    assert (probabilities.max(axis=1) == 1).all()
    assert (grad_cam(model, images, predicted).max(axis=(1, 2)) > 0.99).all()


def evidence(weights: list[float]) -> keras.Model:
    """Scores are weighted means of the red and the green channel."""
    model = keras.Sequential(
        [
            keras.Input(SHAPE),
            layers.Conv2D(2, 1, use_bias=False, name="map"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2, activation="softmax", use_bias=False),
        ]
    )
    kernel = np.array([[1, 0], [0, 1], [0, 0]], np.float32)
    model.set_weights([kernel.reshape(1, 1, 3, 2), np.diag(np.array(weights, np.float32))])
    return model


def test_nothing_that_speaks_for_the_class_is_an_empty_map():
    maps = grad_cam(evidence([-1.0, -1.0]), pixels(3), np.array([0, 1, 0]))
    assert (maps == 0).all()


@pytest.fixture(scope="module")
def weighable() -> keras.Model:
    return evidence([1.0, 1.0])


@given(weights=st.lists(st.floats(width=32), min_size=2, max_size=2), grey=st.integers(0, 255), label=st.integers(0, 1))
@example(weights=[float("inf"), 1.0], grey=100, label=0)
@example(weights=[float("nan"), 1.0], grey=100, label=0)
@example(weights=[3e38, 1.0], grey=100, label=0)
@settings(max_examples=40, deadline=None)
def test_maps_are_numbers_from_0_to_1_whatever_the_weights(weighable, weights, grey, label):
    weighable.set_weights([weighable.get_weights()[0], np.diag(np.array(weights, np.float32))])
    images = np.full((1, *SHAPE), grey, np.uint8)
    images[0, 2:4, 5] = 255 - grey
    maps = grad_cam(weighable, images, np.array([label]))
    assert maps.shape == (1, 8, 8)
    assert ((maps >= 0) & (maps <= 1)).all()


def test_the_hot_spot_is_where_the_evidence_is():
    images = np.zeros((4, *SHAPE), np.uint8)
    corners = [(0, 0), (0, 7), (7, 0), (7, 7)]
    for image, corner in zip(images, corners, strict=True):
        image[corner] = (200, 0, 0)
    maps = grad_cam(evidence([1.0, 1.0]), images, np.zeros(4, int))
    assert [np.unravel_index(m.argmax(), m.shape) for m in maps] == corners
    assert (np.sort(maps.reshape(4, -1))[:, -2] == 0).all()


def test_red_is_the_first_channel():
    images = np.zeros((2, *SHAPE), np.uint8)
    images[0, 1, 1], images[1, 1, 1] = (255, 0, 0), (0, 255, 0)
    maps = grad_cam(evidence([1.0, 1.0]), images, np.array([0, 0]))
    assert maps[0].max() > 0.99
    assert maps[1].max() == 0


def test_the_network_is_left_as_it_was(flat):
    before = [v.numpy() for v in flat.variables]
    first = grad_cam(flat, pixels(3), np.array([0, 1, 2]))
    with pytest.raises(tf.errors.InvalidArgumentError):
        grad_cam(flat, pixels(3), np.array([0, 1, 99]))
    for old, new in zip(before, flat.variables, strict=True):
        np.testing.assert_array_equal(old, new.numpy())
    assert not [layer.name for layer in flat.layers if "call" in vars(layer)]
    np.testing.assert_array_equal(grad_cam(flat, pixels(3), np.array([0, 1, 2])), first)


def test_feature_maps_come_in_order_with_their_shapes(flat):
    expected = {"early": (8, 8, 4), "norm": (8, 8, 4), "pool": (4, 4, 4), "late": (4, 4, 5)}
    found = feature_maps(flat, SHAPE)
    assert list(found.items())[1:] == list(expected.items())
    assert list(feature_maps(nested(flat), SHAPE))[1:] == [f"outer/body/{name}" for name in expected]


def test_a_layer_has_its_full_name_or_its_own(flat):
    model = nested(flat)
    assert choose_layer(model, SHAPE) == "outer/body/late"
    assert choose_layer(model, SHAPE, "pool") == choose_layer(model, SHAPE, "outer/body/pool") == "outer/body/pool"


@pytest.mark.parametrize(
    ("layer", "reason"), [("nope", "is no layer"), ("head", "no feature map"), ("flat", "no feature map")]
)
def test_a_layer_that_cannot_be_used_is_one_line_with_those_that_can(flat, layer, reason):
    with pytest.raises(ConfigError, match=f"--layer {layer} .*{reason}") as error:
        grad_cam(flat, pixels(1), np.array([0]), layer)
    assert "late, pool, norm, early" in error.value.fix
    assert "\n" not in error.value.message + error.value.fix


def test_a_name_that_fits_two_layers_is_refused_with_both():
    def body(name):
        inner = keras.Input(SHAPE)
        return keras.Model(inner, layers.Conv2D(3, 3, padding="same", name="conv")(inner), name=name)

    x = keras.Input(SHAPE)
    model = keras.Model(x, head(body("b")(body("a")(x))))
    with pytest.raises(ConfigError, match="2 layers: a/conv, b/conv"):
        choose_layer(model, SHAPE, "conv")
    assert grad_cam(model, pixels(2), np.array([0, 1]), "a/conv").shape == (2, 8, 8)


def test_a_network_without_feature_maps_is_one_line():
    model = keras.Sequential([keras.Input(SHAPE), layers.Flatten(), layers.Dense(2, activation="softmax")])
    with pytest.raises(ConfigError, match="no layer whose output is a feature map"):
        choose_layer(model, SHAPE)


def test_a_single_pixel_is_no_feature_map():
    x = keras.Input(SHAPE)
    pooled = layers.GlobalAveragePooling2D(keepdims=True)(layers.Conv2D(4, 3, name="map")(x))
    model = keras.Model(x, layers.Softmax()(layers.Flatten()(layers.Conv2D(3, 1, name="classes")(pooled))))
    assert choose_layer(model, SHAPE) == "map"


def test_operations_that_are_no_layers_count():
    x = keras.Input(SHAPE)
    rectified = keras.ops.relu(layers.Conv2D(4, 3, name="map")(x))
    model = keras.Model(x, layers.Softmax()(layers.Dense(3)(layers.GlobalAveragePooling2D()(rectified))))
    assert choose_layer(model, SHAPE).startswith("relu")
    assert grad_cam(model, pixels(2), np.array([0, 1])).shape == (2, 6, 6)


def test_a_layer_used_twice_is_seen_at_its_last_use():
    x = keras.Input(SHAPE)
    conv = layers.Conv2D(3, 3, padding="same", name="again")
    features = conv(layers.MaxPooling2D()(conv(x)))
    model = keras.Model(x, layers.Softmax()(layers.Dense(3)(layers.GlobalAveragePooling2D()(features))))
    assert grad_cam(model, pixels(2), np.array([0, 1])).shape == (2, 4, 4)


@pytest.mark.parametrize("name", ["resnet9", "resnet20", "airbench_small"])
def test_the_networks_on_offer(name):
    model = build(name, (16, 16, 3), 4, (120, 120, 120), (60, 60, 60))
    maps = grad_cam(model, pixels(2, (16, 16, 3)), np.array([0, 1]))
    assert maps.ndim == 3
    assert maps.max() > 0
