import re
import sys
import zipfile
from textwrap import dedent

import keras
import numpy as np
import pytest

from evacli import backend, models, paths
from evacli.catalogue.networks import NETWORKS
from evacli.engine.fast.twin import training_twin
from evacli.errors import ModelError
from evacli.models.logits import logits_model
from evacli.models.regularisation import Regularisation

OURS = [name for name, network in NETWORKS.items() if not network.pretrained]
MEAN, STD = (125, 123, 114), (62.99, 62.08, 66.7)


def built(name="eva", shape=(32, 32, 3), num_classes=10):
    return models.build(name, shape, num_classes, MEAN, STD)


def pixels(n=4, shape=(8, 8, 3), seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, *shape)).astype(np.float32)


def trainable(model):
    return sum(int(np.prod(v.shape)) for v in model.trainable_variables)


def test_eva_has_the_parameters_of_the_assignment():
    model = built()
    assert (model.count_params(), trainable(model)) == (455_370, 454_026)


def test_eva_is_the_network_of_the_assignment():
    described = []
    for layer in built().layers[2:]:
        kind, config = type(layer).__name__, layer.get_config()
        if kind == "Conv2D":
            penalty = config["kernel_regularizer"] and round(config["kernel_regularizer"]["config"]["l2"], 7)
            described.append((config["filters"], config["kernel_size"][0], config["activation"], penalty))
        elif kind == "Dropout":
            described.append(config["rate"])
        else:
            described.append(kind)
    norm, pool = "BatchNormalization", "MaxPooling2D"

    def conv(filters):
        return [(filters, 3, "relu", 1e-4), norm]

    assert described == [
        *conv(32), *conv(64), pool, 0.2,
        (32, 1, "linear", None), *conv(64), *conv(128), pool, 0.3,
        (32, 1, "linear", None), *conv(128), *conv(256), pool, 0.5,
        (10, 1, "linear", None), "GlobalAveragePooling2D", "Softmax",
    ]  # fmt: skip


def test_resnet20_has_the_published_number_of_weights():
    assert trainable(built("resnet20")) == 269_722


def test_resnet9_has_the_layers_of_the_article():
    model = built("resnet9")
    kernels = [tuple(v.shape) for v in model.trainable_variables if v.name == "kernel"]
    widths = [(3, 64), (64, 128), (128, 128), (128, 128), (128, 256), (256, 512), (512, 512), (512, 512)]
    assert kernels == [(3, 3, *w) for w in widths] + [(512, 10)]


def test_a_resnet20_shortcut_skips_pixels_and_pads_channels_with_zeros():
    model = built("resnet20", (8, 8, 3))
    add = model.get_layer("stage2_block1_add")
    before = keras.Model(model.input, [model.get_layer("stage1_block3_relu").output, *add.input])
    x, shortcut, _ = (np.asarray(t) for t in before(pixels()))
    np.testing.assert_array_equal(shortcut, np.pad(x[:, ::2, ::2], [(0, 0), (0, 0), (0, 0), (8, 8)]))


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize(("shape", "num_classes"), [((8, 8, 3), 2), ((28, 17, 3), 5), ((9, 64, 1), 100)])
def test_every_network_gives_probabilities_for_any_size(name, shape, num_classes):
    model = models.build(name, shape, num_classes, MEAN[: shape[2]], STD[: shape[2]])
    probabilities = np.asarray(model(pixels(3, shape)))
    assert probabilities.shape == (3, num_classes)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


def test_pixels_are_normalised_and_the_mean_colour_is_exactly_zero():
    model = built(shape=(8, 8, 3))
    normalise = keras.Model(model.input, model.get_layer("normalise").output)
    x = pixels()
    np.testing.assert_allclose(normalise(x), (x - MEAN) / STD, atol=1e-5)
    for grey in range(256):
        layer = models._normalise((grey,) * 3, STD)
        np.testing.assert_array_equal(layer(np.full((1, 1, 1, 3), grey, np.float32)), 0)


def test_a_constant_channel_is_only_shifted():
    layer = models._normalise((3, 0, 255), (0, 0, 0))
    np.testing.assert_array_equal(layer(np.array([[3.0, 7.0, 255.0]])), [[0, 7, 0]])


@pytest.mark.parametrize("name", ["nope", "eva2", "", "file.txt:build"])
def test_an_unknown_network_is_answered_with_the_known_ones(name):
    with pytest.raises(ModelError) as error:
        built(name)
    assert name in error.value.message
    assert all(known in error.value.fix for known in NETWORKS)


@pytest.mark.parametrize("name", ["eva", "resnet9"])
def test_images_too_small_for_three_poolings(name):
    with pytest.raises(ModelError, match="7x8"):
        built(name, (7, 8, 3))


@pytest.mark.parametrize("name", OURS)
def test_layer_names_survive_a_file_name_and_a_terminal(name):
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", layer.name) for layer in built(name).layers if layer.name)


# The user's own network

USER_MODEL = """
    import keras
    from keras import layers

    def build(input_shape, num_classes):
        return keras.Sequential([
            keras.Input(input_shape), layers.Conv2D(4, 3), layers.GlobalAveragePooling2D(),
            layers.Dense(num_classes, {last}),
        ])
"""


@pytest.fixture
def user_file(tmp_path):
    def write(text, name="mine.py"):
        (tmp_path / name).write_text(dedent(text))
        return str(tmp_path / name)

    return write


def custom(reference):
    return built(reference, (8, 8, 3), 5)


@pytest.mark.parametrize("last", ["'softmax'", ""])
def test_a_user_model_ending_in_softmax_or_scores_gives_probabilities(user_file, last):
    model = custom(user_file(USER_MODEL.format(last=last)) + ":build")
    np.testing.assert_allclose(np.asarray(model(pixels())).sum(axis=1), 1, rtol=1e-5)
    (nested,) = (layer for layer in model.layers if isinstance(layer, keras.Model))
    expected = nested((pixels() - np.array(MEAN, np.float32)) / np.array(STD, np.float32))
    expected = expected if last else keras.ops.softmax(expected)
    np.testing.assert_allclose(model(pixels()), expected, atol=1e-6)


@pytest.mark.parametrize("last", ["'softmax'", ""])
def test_scores_and_twin_of_a_user_model(user_file, last):
    model = custom(user_file(USER_MODEL.format(last=last)))
    for scores in (logits_model(model), training_twin(model, "float32")):
        np.testing.assert_allclose(keras.ops.softmax(scores(pixels())), model(pixels()), atol=1e-6)


def test_a_sequential_model_may_leave_its_input_open(user_file):
    text = USER_MODEL.format(last="'softmax'").replace("keras.Input(input_shape), ", "")
    assert custom(user_file(text)).output_shape == (None, 5)


def test_the_function_is_called_build_unless_named(user_file):
    text = USER_MODEL.format(last="'softmax'")
    assert custom(user_file(text)).output_shape == (None, 5)
    assert custom(user_file(text.replace("build", "other")) + ":other").output_shape == (None, 5)


def test_a_user_file_may_import_its_neighbour_and_print(user_file, capsys):
    user_file("WIDTH = 4", "neighbour_of_mine.py")
    text = "from neighbour_of_mine import WIDTH\nprint('hello')\n" + dedent(USER_MODEL.format(last=""))
    before = list(sys.path), set(sys.modules)
    assert custom(user_file(text)).output_shape == (None, 5)
    assert capsys.readouterr().out == ""
    assert sys.path == before[0]
    assert set(sys.modules) - before[1] <= {"neighbour_of_mine"}


def user_function(body):
    return "import keras\nfrom keras import layers\ndef build(input_shape, num_classes):\n" + body


def sequential(*layers):
    return user_function(f"    return keras.Sequential([keras.Input(input_shape), {', '.join(layers)}])\n")


CUSTOM_LAYER = """
@keras.saving.register_keras_serializable("mine")
class Mine(layers.Layer):
    def call(self, x):
        return x
"""
CUSTOM_MODEL = """
class Net(keras.Model):
    def __init__(self, n):
        super().__init__()
        self.dense = layers.Dense(n)
    def call(self, x):
        return self.dense(keras.ops.mean(x, (1, 2)))
"""
FLAT = "layers.Flatten()"
BAD_FILES = {
    "syntax": ("def build(:\n", r"SyntaxError"),
    "import": ("\n\nimport nowhere_to_be_found\n", r"line 3: ModuleNotFoundError: .*nowhere_to_be_found"),
    "exit": ("raise SystemExit(0)\n", r"line 1: SystemExit"),
    "binary": ("\x00\x01", r"SyntaxError|ValueError"),
    "no function": ("x = 1\n", r"defines no build"),
    "not callable": ("build = 3\n", r"TypeError"),
    "wrong signature": ("def build():\n    pass\n", r"TypeError"),
    "raises": (user_function("    raise ValueError('two\\nlines')\n"), r"line 4: ValueError: two\."),
    "returns nothing": (user_function("    pass\n"), r"NoneType instead of a keras.Model"),
    "wrong classes": (sequential(FLAT, "layers.Dense(7)"), r"\(None, 7\) instead of \(None, 5\)"),
    "a map": (sequential("layers.Conv2D(num_classes, 3)"), r"instead of \(None, 5\)"),
    "two outputs": (
        user_function("    x = keras.Input(input_shape)\n    return keras.Model(x, [layers.Flatten()(x)] * 2)\n"),
        r"gives a list instead of \(None, 5\)",
    ),
    "wrong input": (
        user_function("    return keras.Sequential([keras.Input((4, 4, 1)), layers.Flatten(), layers.Dense(5)])\n"),
        r"does not take \(8, 8, 3\) images",
    ),
    "sigmoid": (sequential(FLAT, "layers.Dense(num_classes, 'sigmoid')"), r"neither scores nor a softmax"),
    "hidden softmax": (sequential(FLAT, "layers.Dense(num_classes, 'softmax')", "layers.Reshape((5,))"), r"neither"),
    "lambda": (sequential(FLAT, "layers.Lambda(lambda x: x)", "layers.Dense(num_classes)"), r"without the file"),
    "custom layer": ("import keras\nfrom keras import layers\n" + CUSTOM_LAYER
                     + sequential(FLAT, "Mine()", "layers.Dense(num_classes)"), r"without the file"),
    "custom model": ("import keras\nfrom keras import layers\n" + CUSTOM_MODEL
                     + user_function("    return Net(num_classes)\n"), r"without the file"),
    "custom activation": ("def odd(x):\n    return x\n" + sequential(FLAT, "layers.Dense(num_classes, odd)"),
                          r"without the file"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_FILES)
def test_an_unusable_user_file_is_answered_in_one_line(user_file, case):
    text, reason = BAD_FILES[case]
    reference = user_file(text) + ":build"
    with pytest.raises(ModelError, match=reason) as error:
        custom(reference)
    assert error.value.message.startswith(f"--model {paths.on_file(reference, paths.shown)}: ")
    assert "\n" not in error.value.message
    assert len(error.value.message) < 600
    assert error.value.fix


def test_a_network_for_images_of_any_size_may_give_scores(user_file):
    layers = "layers.Conv2D(4, 3), layers.GlobalAveragePooling2D(), layers.Dense(num_classes)"
    any_size = sequential(layers).replace("keras.Input(input_shape)", "keras.Input((None, None, 3))")
    assert custom(user_file(any_size)).output_shape == (None, 5)


def test_a_missing_user_file(tmp_path):
    for reference in (f"{tmp_path}/none.py:build", f"{tmp_path}/none.py", f"{tmp_path}.py/"):
        with pytest.raises(ModelError):
            custom(reference)


def test_classes_that_the_user_registered_stay_registered(user_file):
    @keras.saving.register_keras_serializable("test_models")
    class Kept(keras.layers.Layer):
        pass

    custom(user_file(USER_MODEL.format(last="")))
    assert keras.saving.get_registered_object("test_models>Kept") is Kept


def test_saved_networks_consist_of_what_keras_itself_has(user_file, tmp_path):
    """So any process that has Keras opens them; `test_training.py` tries that."""
    for name in (*OURS, user_file(USER_MODEL.format(last="")) + ":build"):
        custom(name).save(tmp_path / "a.keras")
        with zipfile.ZipFile(tmp_path / "a.keras") as stored:
            modules = re.findall(r'"module": ("[^"]*"|null)', stored.read("config.json").decode())
        assert {module.strip('"').partition(".")[0] for module in modules} <= {"keras", "builtins"}


POLICIES = {
    "mixed_float16": ("keras.mixed_precision.set_global_policy('mixed_float16')", "dtype_policy", "--precision"),
    "mixed_bfloat16": ("keras.config.set_dtype_policy('mixed_bfloat16')", "dtype_policy", "--precision"),
    "float64": ("keras.config.set_floatx('float64')", "floatx", "--precision"),
    "channels_first": ("keras.config.set_image_data_format('channels_first')", "image_data_format", "Leave that out"),
    "0.5": ("keras.config.set_epsilon(0.5)", "epsilon", "Leave that out"),
    "3": ("keras.config.set_max_epochs(3)", "max_epochs", "Leave that out"),
}


@pytest.mark.parametrize("place", ["top", "function"])
@pytest.mark.parametrize("value", POLICIES)
def test_what_a_user_file_sets_for_all_of_keras_is_refused_and_put_back(user_file, value, place):
    line, setting, fix = POLICIES[value]
    text = sequential("layers.Flatten()", "layers.Dense(num_classes, dtype='float32')")
    at, indent = ("def build", "") if place == "top" else ("    return", "    ")
    with pytest.raises(ModelError, match=rf"sets {setting} of keras\.config to {value}") as error:
        custom(user_file(text.replace(at, f"{indent}{line}\n{at}")))
    assert fix in error.value.fix
    assert backend.moved() == {}


def test_settings_are_put_back_after_a_file_that_fails(user_file):
    with pytest.raises(ModelError, match="ZeroDivisionError"):
        custom(user_file("import keras\nkeras.config.set_floatx('float16')\n1 / 0\n"))
    assert backend.moved() == {}


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "bfloat16", "mixed_float16", "float16", "float64"])
def test_a_layer_that_computes_in_another_type_is_refused_by_name(user_file, dtype):
    inner = f"keras.Sequential([layers.Conv2D(4, 3, dtype='{dtype}', name='odd')])"
    for layer in (f"layers.Conv2D(4, 3, dtype='{dtype}', name='odd')", inner):
        text = sequential(layer, "layers.Flatten()", "layers.Dense(num_classes, dtype='float32')")
        with pytest.raises(ModelError, match=f"its layer odd is made with the dtype {dtype}") as error:
            custom(user_file(text))
        assert "--precision" in error.value.fix


def test_a_layer_that_is_to_stay_in_float32_is_welcome(user_file):
    text = sequential("layers.Flatten(dtype='float32')", "layers.Dense(num_classes, dtype='float32')")
    assert custom(user_file(text)).output.dtype == "float32"


def test_what_a_notebook_has_set_is_back_afterwards():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        with backend.pinned():
            assert keras.layers.Dense(1).dtype_policy.name == "float32"
            keras.config.set_floatx("float16")
        assert backend.moved() == {"dtype_policy": "mixed_bfloat16"}
    finally:
        keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("name", ["pixels", "normalise", "input_noise", "probabilities"])
def test_names_in_a_users_network_do_not_collide_with_evaclis(user_file, name, tmp_path):
    last = f"layers.Dense(num_classes, 'softmax', name='{name}')"
    inside = sequential("layers.Flatten()", last)
    named = inside.replace(", layers.Flatten", f", layers.Conv2D(2, 3, name='{name}'), layers.Flatten")
    for text in (inside, named.replace(last, "layers.Dense(num_classes)").replace("])\n", f"], name='{name}')\n")):
        noisy = Regularisation(input_noise=0.1)
        model = models.build(user_file(text), (8, 8, 3), 5, MEAN, STD, noisy)
        np.testing.assert_allclose(
            keras.ops.softmax(training_twin(model, "float32")(pixels())), model(pixels()), atol=1e-6
        )
        model.save(tmp_path / "saved.keras")
        np.testing.assert_array_equal(keras.models.load_model(tmp_path / "saved.keras")(pixels()), model(pixels()))


@pytest.mark.parametrize("name", ["top 1", "größe", "a:b"])
def test_names_that_no_graph_takes_are_refused_before_the_training(user_file, name):
    for text in (
        sequential(FLAT, f"layers.Dense(num_classes, name='{name}')"),
        sequential(FLAT, "layers.Dense(num_classes)").replace("])\n", f"], name='{name}')\n"),
    ):
        with pytest.raises(ModelError, match=f"its layer '{name}' has a name that TensorFlow does not take"):
            custom(user_file(text))


INNER = "keras.Sequential([layers.Conv2D(2, 3), Mine(name='culprit')])"
CULPRITS = {
    "a function of TensorFlow": (
        "import tensorflow as tf\n" + sequential(FLAT, "layers.Dense(num_classes, tf.nn.softmax, name='culprit')"),
        r"layer culprit \(Dense\)",
    ),
    "a subclassed model": (
        "import keras\nfrom keras import layers\n" + CUSTOM_MODEL + user_function("    return Net(num_classes)\n"),
        r"model net\S* \(Net\), NotImplementedError: \S",
    ),
    "a subclassed model inside": (
        "import keras\nfrom keras import layers\n" + CUSTOM_MODEL + sequential("Net(num_classes)"),
        r"model net\S* \(Net\), ",
    ),
    "an unregistered layer": (
        "from keras import layers\nclass Mine(layers.Layer):\n    def call(self, x):\n        return x\n"
        + sequential(FLAT, "layers.Dense(num_classes)", "Mine(name='culprit')"),
        r"layer culprit \(Mine\), ",
    ),
    "a layer in a nested model": (
        "import keras\nfrom keras import layers\n" + CUSTOM_LAYER
        + sequential(INNER, FLAT, "layers.Dense(num_classes)"),
        r"layer culprit \(Mine\), ",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CULPRITS)
def test_the_layer_that_is_to_blame_is_named_with_the_remedy(user_file, case):
    text, culprit = CULPRITS[case]
    with pytest.raises(ModelError, match=culprit) as error:
        custom(user_file(text))
    assert "keras.Model(inputs, outputs)" in error.value.fix
    assert "activation='softmax'" in error.value.fix


@pytest.mark.parametrize("last", ["'log_softmax'), layers.Activation('linear'", "'log_softmax'"])
def test_logarithms_of_probabilities_are_scores(user_file, last):
    model = custom(user_file(USER_MODEL.format(last=last)))
    (nested,) = (layer for layer in model.layers if isinstance(layer, keras.Model))
    inputs = (pixels() - np.array(MEAN, np.float32)) / np.array(STD, np.float32)
    np.testing.assert_allclose(model(pixels()), np.exp(nested(inputs)), atol=1e-6)
