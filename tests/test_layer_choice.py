"""Which layer Grad-CAM shows: the last that every path passes and that still has the picture's rows and columns."""

from collections.abc import Iterator

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers, ops

from evacli.errors import ConfigError
from evacli.explaining.heatmap import grad_cam
from evacli.explaining.layers import caveat, choose_layer, feature_maps
from evacli.models import build, saved

SHAPE = (8, 8, 3)


def pixels(shape=SHAPE) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (3, *shape), np.uint8)


def conv(name, filters=4, **options):
    return layers.Conv2D(filters, 3, padding="same", activation="relu", name=name, **options)


def classify(inputs, *tensors) -> keras.Model:
    """Scores from the channels' means of all `tensors`."""
    means = [layers.GlobalAveragePooling2D()(x) for x in tensors]
    x = layers.Concatenate()(means) if len(means) > 1 else means[0]
    return keras.Model(inputs, layers.Softmax()(layers.Dense(3)(x)))


def by_hand(model: keras.Model, layer: str, images: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Equations 1 and 2 of the paper at a layer of a model that is not nested."""
    both = keras.Model(model.inputs[0], [model.get_layer(layer).output, model.layers[-1].input])
    with tf.GradientTape() as tape:
        given_pixels = tf.constant(images, tf.float32)
        tape.watch(given_pixels)
        features, scores = both(given_pixels, training=False)
        chosen = tf.reduce_sum(tf.gather(scores, classes, axis=1, batch_dims=1))
    weights = tape.gradient(chosen, features).numpy().mean(axis=(1, 2))
    heat = np.maximum(np.einsum("nhwk,nk->nhw", features.numpy(), weights), 0)
    return heat / (heat.max(axis=(1, 2), keepdims=True) + 1e-7)


def mobilenet():
    return keras.applications.MobileNet(weights=None, input_shape=(32, 32, 3), classes=3, alpha=0.25)


def mobilenet_v2():
    base = keras.applications.MobileNetV2(weights=None, input_shape=(32, 32, 3), include_top=False, alpha=0.35)
    return classify(base.inputs[0], base.outputs[0])


def padded_at_the_end():
    x = keras.Input(SHAPE)
    return classify(x, layers.ReLU()(layers.ZeroPadding2D()(conv("last")(x))))


def padded_for_a_convolution():
    x = keras.Input(SHAPE)
    padded = layers.ZeroPadding2D(((0, 1), (0, 1)))(conv("first")(x))
    return classify(x, layers.Conv2D(4, 3, 2, name="strided")(padded))


def cropped():
    x = keras.Input(SHAPE)
    return classify(x, layers.ReLU()(layers.Cropping2D(2)(conv("last")(x))))


def channels_first():
    x = keras.Input(SHAPE)
    return classify(x, layers.AveragePooling2D(2, data_format="channels_first")(conv("last")(x)))


def attention():
    x = keras.Input(SHAPE)
    tokens = layers.Reshape((64, 4))(conv("last")(x))
    seen = layers.Permute((2, 1))(layers.Attention()([tokens, tokens]))
    return classify(x, conv("mixed")(layers.Reshape((8, 8, 4))(seen)))


def reshaped_after_flatten():
    x = keras.Input(SHAPE)
    flat = layers.Dense(16)(layers.Flatten()(conv("last")(x)))
    return classify(x, layers.Reshape((4, 4, 1))(flat))


def branches_after_a_stem():
    x = keras.Input(SHAPE)
    stem = conv("stem")(x)
    return classify(x, conv("left")(stem), conv("right")(stem))


def branches_that_meet():
    x = keras.Input(SHAPE)
    stem = conv("stem")(x)
    return classify(x, layers.Concatenate(name="met")([conv("left")(stem), conv("right")(stem), stem]))


def gate_beside():
    """A map of one channel that only weighs what the other one says."""
    x = keras.Input(SHAPE)
    features = conv("features")(x)
    gate = layers.Conv2D(1, 1, activation="sigmoid", name="gate")(features)
    weighed = layers.Multiply()([layers.GlobalAveragePooling2D()(y) for y in (features, gate)])
    return keras.Model(x, layers.Softmax()(layers.Dense(3)(weighed)))


def gate_within():
    x = keras.Input(SHAPE)
    features = conv("features")(x)
    return classify(x, layers.Multiply(name="gated")([features, layers.Conv2D(1, 1, name="gate")(features)]))


def gate_of_channels():
    x = keras.Input(SHAPE)
    features = conv("features")(x)
    gate = layers.Reshape((1, 1, 4))(layers.Dense(4)(layers.GlobalAveragePooling2D()(features)))
    return classify(x, layers.Multiply(name="gated")([features, gate]))


def augmented():
    x = keras.Input(SHAPE)
    y = layers.GaussianNoise(1)(layers.RandomFlip()(layers.RandomRotation(0.1)(layers.Rescaling(1 / 255)(x))))
    return classify(x, layers.Dropout(0.5, name="dropped")(conv("first")(y)))


def operations():
    x = keras.Input(SHAPE)
    y = ops.pad(conv("first")(x)[:, ::2, ::2], ((0, 0), (0, 0), (0, 0), (2, 2)))
    y = ops.concatenate([ops.relu(y), layers.Conv2D(8, 3, 2, padding="same")(x)], axis=-1)
    return classify(x, layers.ReLU(name="last")(y * 0.5 + 1))


def cut_by_an_operation():
    x = keras.Input(SHAPE)
    return classify(x, layers.ReLU()(conv("last")(x)[:, 2:, :]))


def joined_by_rows():
    x = keras.Input(SHAPE)
    y = conv("last")(x)
    return classify(x, layers.Concatenate(axis=1)([y, y]))


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (mobilenet, "conv_pw_11_relu"),
        (mobilenet_v2, "block_13_expand_relu"),
        (padded_at_the_end, "last"),
        (padded_for_a_convolution, "strided"),
        (cropped, "last"),
        (channels_first, "last"),
        (attention, "last"),
        (reshaped_after_flatten, "last"),
        (branches_after_a_stem, "stem"),
        (branches_that_meet, "met"),
        (gate_beside, "features"),
        (gate_within, "gated"),
        (gate_of_channels, "gated"),
        (augmented, "dropped"),
        (operations, "last"),
        (cut_by_an_operation, "last"),
        (joined_by_rows, "last"),
    ],
)
def test_the_layer_shown_is_the_last_that_all_paths_pass_with_its_places(network, expected):
    keras.utils.set_random_seed(2)
    model = network()
    images, classes = pixels(model.input_shape[1:]), np.array([0, 2, 1])
    shape = images.shape[1:]
    assert choose_layer(model, shape) == expected
    assert caveat(model, shape, expected) == ""
    maps = grad_cam(model, images, classes)
    np.testing.assert_allclose(maps, by_hand(model, expected, images, classes), atol=1e-4)


@pytest.mark.parametrize("name", ["eva", "resnet20", "airbench_small"])
def test_a_network_that_was_saved_shows_the_same_layer(tmp_path, name):
    network = build(name, (32, 32, 3), 4, (0.0,) * 3, (1.0,) * 3)
    network.save(tmp_path / "best.keras")
    opened = saved.load(tmp_path / "best.keras")
    assert choose_layer(opened, (32, 32, 3)) == choose_layer(network, (32, 32, 3))


@pytest.mark.parametrize("name", ["eva", "resnet9", "resnet20", "airbench", "airbench_small"])
@pytest.mark.parametrize("side", [16, 32])
def test_the_networks_on_offer_show_their_last_feature_map(name, side):
    shape = (side, side, 3)
    model = build(name, shape, 4, (120, 120, 120), (60, 60, 60))
    last = choose_layer(model, shape)
    assert last == list(feature_maps(model, shape))[-1]
    assert caveat(model, shape, last) == ""


def perceptron():
    x = keras.Input(SHAPE)
    flat = layers.Flatten(name="flat")(layers.Normalization(mean=0, variance=1)(x))
    return keras.Model(x, layers.Softmax()(layers.Dense(3)(flat)))


def parallel():
    x = keras.Input(SHAPE)
    return classify(x, conv("left")(x), conv("right")(x))


def transposed():
    x = keras.Input(SHAPE)
    return classify(x, conv("late")(layers.Permute((2, 1, 3), name="turn")(x)))


def body() -> keras.Model:
    x = keras.Input((None, None, 3))
    return keras.Model(x, layers.MaxPooling2D(name="pool")(conv("late")(x)), name="body")


def mirrored():
    x, shared = keras.Input(SHAPE), body()
    return classify(x, shared(x), shared(ops.flip(x, axis=2)))


@pytest.mark.parametrize(
    ("network", "reason", "way_on"),
    [
        (perceptron, "flat loses them", "No --layer would do"),
        (transposed, "turn loses them", "No --layer would do"),
        (parallel, "every path", "can be one of: "),
        (mirrored, "computed once", ""),
    ],
)
def test_where_no_layer_suits_one_line_says_why_and_what_else(network, reason, way_on):
    with pytest.raises(ConfigError, match=reason) as error:
        choose_layer(network(), SHAPE)
    assert way_on in error.value.fix
    assert "\n" not in error.value.message + error.value.fix


@pytest.mark.parametrize(
    ("network", "layer", "reason"),
    [
        (parallel, "left", "the scores also depend on paths around it"),
        (transposed, "late", "from turn on, rows and columns are not those of the picture"),
        (attention, "mixed", "from reshape"),
        (mobilenet, "conv_pad_12", "it is padded or cropped"),
        (mirrored, "body/late", "it is computed 2 times, and this is the last"),
    ],
)
def test_a_layer_asked_for_by_name_is_used_with_what_speaks_against_it(network, layer, reason):
    model = network()
    shape = (32, 32, 3) if network is mobilenet else SHAPE
    assert choose_layer(model, shape, layer) == layer
    told = caveat(model, shape, layer)
    assert told.startswith(f"The map of {layer} may not show where the network looks: ")
    assert reason in told
    assert "\n" not in told


def test_of_several_calls_the_one_that_is_named_is_shown():
    keras.utils.set_random_seed(4)
    model, images, classes = mirrored(), pixels(), np.array([0, 2, 1])
    told = caveat(model, SHAPE, "body/late")
    is_of_the_mirror_image = ", after flip" in told
    assert is_of_the_mirror_image != (", not after flip" in told)
    given_pixels = tf.constant(images[:, :, ::-1] if is_of_the_mirror_image else images, tf.float32)
    shared, kernel = model.get_layer("body"), model.layers[-2].get_weights()[0]  # (8, 3)
    half = kernel[4:] if is_of_the_mirror_image else kernel[:4]
    with tf.GradientTape() as tape:
        features = shared.get_layer("late")(given_pixels)
        tape.watch(features)
        score = tf.reduce_mean(shared.get_layer("pool")(features), axis=(1, 2)) @ half
        chosen = tf.reduce_sum(tf.gather(score, classes, axis=1, batch_dims=1))
    weights = tape.gradient(chosen, features).numpy().mean(axis=(1, 2))
    heat = np.maximum(np.einsum("nhwk,nk->nhw", features.numpy(), weights), 0)
    expected = heat / (heat.max(axis=(1, 2), keepdims=True) + 1e-7)
    np.testing.assert_allclose(grad_cam(model, images, classes, "body/late"), expected, atol=1e-4)


def test_a_layer_used_again_is_not_chosen_by_itself():
    x, again = keras.Input(SHAPE), conv("again", filters=3)
    model = classify(x, again(layers.MaxPooling2D(name="between")(again(x))))
    assert choose_layer(model, SHAPE) == "between"
    assert "computed 2 times, and this is the last, after between" in caveat(model, SHAPE, "again")


def test_a_backbone_for_all_sizes_is_followed(tmp_path):
    x = keras.Input(SHAPE)
    model = classify(x, body()(x))
    model.save(tmp_path / "model.keras")
    for one in model, keras.models.load_model(tmp_path / "model.keras"):
        assert choose_layer(one, SHAPE) == "body/pool"
        assert feature_maps(one, SHAPE) == {"body/late": (8, 8, 4), "body/pool": (4, 4, 4)}


class Residual(keras.Model):
    """Adds by hand what no Keras graph knows of; turns the picture if asked to."""

    def __init__(self, turns: bool) -> None:
        super().__init__(name="residual")
        self.turns, self.early, self.late = turns, conv("early"), conv("late")

    def call(self, x):
        x = self.early(x)
        return self.late(tf.transpose(x, (0, 2, 1, 3)) if self.turns else tf.nn.relu(x) + x)


@pytest.mark.parametrize(("turns", "expected"), [(False, "residual/late"), (True, "residual/early")])
def test_a_model_that_is_no_graph_of_layers_is_followed_as_well(turns, expected):
    x = keras.Input(SHAPE)
    assert choose_layer(classify(x, Residual(turns)(x)), SHAPE) == expected


# A network as a list of layers, each with the numbers of its inputs; the picture is number 0.
KINDS = {
    "conv": (1, lambda name: layers.Conv2D(3, 3, padding="same", name=name)),
    "relu": (1, lambda name: layers.ReLU(name=name)),
    "drop": (1, lambda name: layers.Dropout(0.5, name=name)),
    "turn": (1, lambda name: layers.Permute((2, 1, 3), name=name)),
    "add": (2, lambda name: layers.Add(name=name)),
}


@st.composite
def networks(draw) -> list[tuple[str, tuple[int, ...]]]:
    network = []
    for number in range(1, draw(st.integers(2, 8))):
        kind = draw(st.sampled_from(sorted(KINDS)))
        network.append((kind, tuple(draw(st.integers(max(0, number - 3), number - 1)) for _ in range(KINDS[kind][0]))))
    return network


def paths(network, end: int) -> Iterator[tuple[int, ...]]:
    if end == 0:
        yield ()
        return
    for before in set(network[end - 1][1]):
        yield from ((*path, end) for path in paths(network, before))


def keeps(network, end: int) -> bool:
    """Whether no path to a layer turns the picture."""
    return all(network[number - 1][0] != "turn" for path in paths(network, end) for number in path)


def has_learnt(network, end: int) -> bool:
    return any(network[number - 1][0] == "conv" for path in paths(network, end) for number in path)


@given(network=networks(), ends=st.sets(st.integers(1, 7), min_size=1, max_size=2))
@settings(max_examples=40, deadline=None)
def test_the_chosen_layer_is_on_each_path_that_there_is(network, ends):
    ends = {min(end, len(network)) for end in ends}
    tensors = [keras.Input(SHAPE)]
    for number, (kind, before) in enumerate(network, start=1):
        given_tensors = [tensors[i] for i in before]
        tensors.append(KINDS[kind][1](f"{kind}{number}")(given_tensors if kind == "add" else given_tensors[0]))
    model = classify(tensors[0], *(tensors[end] for end in sorted(ends)))

    on_each = set.intersection(*(set(path) for end in ends for path in paths(network, end)))
    suitable = [number for number in sorted(on_each) if keeps(network, number) and has_learnt(network, number)]
    if suitable:
        assert choose_layer(model, SHAPE) == f"{network[suitable[-1] - 1][0]}{suitable[-1]}"
    else:
        with pytest.raises(ConfigError):
            choose_layer(model, SHAPE)
