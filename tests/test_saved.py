"""Model files from strangers: no code in them runs, and their memory is bounded by their size."""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras_files import Parts, compressed, configured, hollow, layer, parts, weights, wide, write
from tiny_run import make_model

from evacli.errors import ModelError
from evacli.models import saved

layers = keras.layers


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "honest.keras"
    make_model().save(path)
    return path


def built_wide(described: list[dict[str, Any]]) -> None:
    layer(described, "Dense")["build_config"] = {"input_shape": [None, 2_000_000_000]}


def in_numbers(content: Parts) -> Parts:
    """Thirty layers, of which each one would fit."""
    chain = [layers.Dense(64) for _ in range(30)]
    model = keras.Sequential([layers.Input((8, 8, 3)), *chain])
    return content | {saved.CONFIG: json.dumps(keras.saving.serialize_keras_object(model)).encode()}


def huge_input(described: list[dict[str, Any]]) -> None:
    layer(described, "InputLayer")["config"]["batch_shape"] = [None, 100_000, 100_000, 3]


MANY = "its layers ask for more weights than the file has"
GREEDY: dict[str, tuple[Callable[[Parts], Parts], str]] = {
    "units": (lambda p: configured(p, wide), MANY),
    "build_config": (lambda p: configured(p, built_wide), MANY),
    "input": (lambda p: configured(p, huge_input), "expected axis -1 of input shape to have value 144"),
    "number": (in_numbers, MANY),
    "configuration": (lambda p: p | {saved.CONFIG: b"[" + b" " * 300_000_000 + b"]"}, "it would unpack to 300,0"),
    "compressed array": (compressed, "its arrays are larger than the file"),
    "hollow array": (hollow, "its arrays are larger than the file"),
}
# Tells what loading a file in a fresh process came to, and how many bytes it took beyond what an honest file takes.
MEASURE = """
import resource, sys
from pathlib import Path
from evacli.errors import ModelError
from evacli.models import saved
before = None
for path in sys.argv[1:]:
    error = ""
    try:
        saved.load(Path(path))
    except ModelError as e:
        error = e.message
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    before = before or peak
    print(peak - before, error)
"""


@pytest.mark.long
def test_what_asks_for_more_than_the_file_holds_is_refused_in_little_memory(honest: Path, tmp_path: Path) -> None:
    files = [write(tmp_path / f"{kind}.keras", make(parts(honest))) for kind, (make, _) in GREEDY.items()]
    command = [sys.executable, "-c", MEASURE, str(honest), *map(str, files)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert lines[0] == "0 "
    for line, file, (_, words) in zip(lines[1:], files, GREEDY.values(), strict=True):
        grown, _, error = line.partition(" ")
        assert error.startswith(str(file))
        assert words in error
        assert int(grown) < 64 * 2**20


@pytest.mark.parametrize("kind", GREEDY)
def test_compression_does_not_help_them(honest: Path, tmp_path: Path, kind: str) -> None:
    content = GREEDY[kind][0](parts(honest))
    with pytest.raises(ModelError, match=r"would unpack to [\d,]+ bytes"):
        saved.load(write(tmp_path / "a.keras", content, zipfile.ZIP_DEFLATED))


def calling(module: str, name: str, **config: Any) -> Callable[[Parts, Path], Parts]:
    """Puts an object of that module in the place of an activation."""

    def make(content: Parts, marker: Path) -> Parts:
        settings = {key: str(value).format(marker=marker) for key, value in config.items()}
        called = {"module": module, "class_name": name, "config": settings, "registered_name": name}
        return configured(content, lambda described: layer(described, "Conv2D")["config"].update(activation=called))

    return make


GADGETS = {
    "os.system": calling("os", "system", command="touch {marker}"),
    "subprocess": calling("subprocess", "Popen", args="touch {marker}", shell=True),
    "function": calling("builtins", "function", config="exec"),
    "get_file": calling("keras.utils", "get_file", fname="{marker}", origin="file:///etc/hostname"),
    "enable_unsafe": calling("keras.config", "enable_unsafe_deserialization"),
}


@pytest.mark.parametrize("gadget", GADGETS)
def test_nothing_that_a_configuration_names_is_called(honest: Path, tmp_path: Path, gadget: str) -> None:
    marker = tmp_path / "marker"
    file = write(tmp_path / "a.keras", GADGETS[gadget](parts(honest), marker))
    with pytest.raises(ModelError, match="not a model that Keras can load") as caught:
        saved.load(file)
    assert "\n" not in caught.value.message
    assert not marker.exists()
    assert keras.src.saving.serialization_lib.in_safe_mode() in (None, True)


def test_lambda_layers_are_not_run(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    name = str(marker)  # Keras keeps what a function closes over, if it is as simple as this
    touching = layers.Lambda(lambda x: Path(name).touch() or x, output_shape=(8, 8, 3))
    keras.Sequential([layers.Input((8, 8, 3)), touching, layers.Flatten(), layers.Dense(2)]).save(tmp_path / "a.keras")
    marker.unlink(missing_ok=True)
    with pytest.raises(ModelError, match="not a model that Keras can load"):
        saved.load(tmp_path / "a.keras")
    assert not marker.exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: p | {"assets/x.txt": b""}, "does not consist of config.json, metadata.json, model.weights.h5"),
        (lambda p: {saved.CONFIG: p[saved.CONFIG]}, "does not consist of"),
        (lambda p: p | {saved.WEIGHTS: b"garbage"}, "damaged"),
        (lambda p: p | {saved.WEIGHTS: weights(a={"shape": (4,), "dtype": "f4"})}, "not a model that Keras can load"),
        (lambda p: p | {saved.CONFIG: b"[" * 100_000}, "not a model that Keras can load"),
    ],
)
def test_other_contents_are_refused(honest: Path, tmp_path: Path, change: Callable[[Parts], Parts], words: str) -> None:
    with pytest.raises(ModelError, match=words) as caught:
        saved.load(write(tmp_path / "a.keras", change(parts(honest))))
    assert "\n" not in caught.value.message


def test_pipes_and_folders_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.keras")
    (tmp_path / "folder.keras").mkdir()
    for name in ("pipe", "folder", "missing"):
        with pytest.raises(ModelError, match="it is not a file"):
            saved.load(tmp_path / f"{name}.keras")


@pytest.mark.parametrize(
    "model",
    [
        keras.Sequential([layers.Input((None, None, 3)), layers.GlobalAveragePooling2D(), layers.Dense(2)]),
        keras.Sequential([layers.Input((8,)), layers.Dense(2)]),
        keras.Sequential([layers.Input((8, 8, 3), batch_size=7), layers.Flatten(), layers.Dense(2)]),
    ],
)
def test_models_of_something_else_are_refused(tmp_path: Path, model: keras.Model) -> None:
    model.save(tmp_path / "a.keras")
    with pytest.raises(ModelError, match="does not take images of one size"):
        saved.load(tmp_path / "a.keras")


def array_of(dtype: Any) -> Callable[[Parts], Parts]:
    """Puts an array of another kind in the place of a number."""
    array = {"class_name": "__numpy__", "config": {"value": ["a"], "dtype": dtype}}
    return lambda p: configured(p, lambda described: layer(described, "Rescaling")["config"].update(scale=array))


@pytest.mark.parametrize("dtype", ["U500000000", "S9", "V500000000", "<U4", "object", [["a", "U500000000"]], None])
def test_arrays_of_something_else_than_numbers_are_refused(honest: Path, tmp_path: Path, dtype: Any) -> None:
    with pytest.raises(ModelError, match="an array of something else than numbers"):
        saved.load(write(tmp_path / "a.keras", array_of(dtype)(parts(honest))))


@pytest.mark.parametrize("make", [lambda x: {"a": x}, lambda x: [x, x], lambda x: keras.ops.argmax(x, axis=-1)])
def test_outputs_that_are_not_one_array_of_numbers_are_refused(tmp_path: Path, make: Callable[[Any], Any]) -> None:
    functional(lambda x: make(layers.Dense(3)(layers.Flatten()(x)))).save(tmp_path / "a.keras")
    with pytest.raises(ModelError, match="does not give one array of numbers"):
        saved.try_out(saved.load(tmp_path / "a.keras"), 4)


def stacked(*stack: Any, shape: tuple[int, int, int] = (8, 8, 3)) -> keras.Model:
    return keras.Sequential([layers.Input(shape), *stack, layers.Dense(3)])


def functional(apply: Callable[[Any], Any]) -> keras.Model:
    inputs = keras.Input((8, 8, 3))
    return keras.Model(inputs, apply(inputs))


def many(pixels: Any) -> Any:
    """Branches that are each small enough."""
    return layers.Add()([layers.GlobalAveragePooling2D()(layers.UpSampling2D((900, 901))(pixels)) for _ in range(20)])


# What each would take was multiplied out by hand; a recurrence has 50 to 60 operations a step.
TOO_MUCH: dict[str, tuple[Callable[[], keras.Model], str]] = {
    "recurrence": (
        lambda: stacked(layers.Reshape((192, 1)), layers.UpSampling1D(1000), layers.GRU(2)),
        r"would need 1\d,\d{3},\d{3} operations, more than 2,000,000",
    ),
    "layer": (lambda: stacked(layers.UpSampling2D(3000), layers.GlobalAveragePooling2D()), "26 GiB for a single layer"),
    "branches": (lambda: functional(many), r"would need \d+ GiB at once, more than 8"),
    "window": (
        lambda: stacked(
            layers.UpSampling2D(100), layers.MaxPooling2D(500, 1, padding="same"), layers.GlobalAveragePooling2D()
        ),
        r"would need 2e\+14 multiplications, more than 4e\+12",
    ),
    "unknown size": (
        lambda: functional(lambda x: keras.ops.tile(keras.ops.nonzero(layers.Flatten()(x))[0], (500,))),
        "a tensor whose size cannot be told",
    ),
    "decomposition": (
        lambda: functional(lambda x: keras.ops.svd(layers.Resizing(4000, 4000)(x)[..., 0])[1]),
        "multiplications, more than 4e",
    ),
}


@pytest.mark.parametrize("kind", TOO_MUCH)
def test_what_would_take_too_much_is_refused_before_it_runs(kind: str) -> None:
    make, words = TOO_MUCH[kind]
    with pytest.raises(ModelError, match=words) as caught:
        saved.try_out(make(), 4)
    assert "\n" not in caught.value.message


def test_a_loop_that_is_spelled_out_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stacked(layers.Reshape((64, 3)), layers.GRU(2, unroll=True)).save(tmp_path / "a.keras")
    model = saved.load(tmp_path / "a.keras")
    saved.try_out(model, 4)
    monkeypatch.setattr(saved, "MAX_OPERATIONS", 500)
    with pytest.raises(ModelError, match="consist of more than 500 operations"):
        saved.try_out(model, 4)


def scores(pixels: Any) -> Any:
    rows = layers.Reshape((64, 3))(pixels)
    return keras.ops.matmul(keras.ops.transpose(rows, (0, 2, 1)), rows)


FAILING: dict[str, tuple[Callable[[], keras.Model], str]] = {
    "embedding": (lambda: stacked(layers.Embedding(2, 4), layers.Flatten()), r"is not in \[0, 2\)"),
    "decomposition": (lambda: functional(lambda x: keras.ops.cholesky(-scores(x))), "cannot be computed"),
    "shape": (lambda: functional(lambda x: keras.ops.reshape(x, (-1, 7))), "divisible by 7"),
}


@pytest.mark.parametrize("kind", FAILING)
def test_whatever_a_layer_raises_is_one_line(kind: str) -> None:
    make, words = FAILING[kind]
    model = make()
    with pytest.raises(ModelError, match=words) as caught:
        saved.try_out(model, 4)
    with pytest.raises(ModelError, match=words) as later, saved.using(model):
        model.predict_on_batch(np.full((4, 8, 8, 3), 200, np.float32))
    for e in (caught.value, later.value):
        assert "\n" not in e.message
        assert len(e.message) < 400


@pytest.mark.parametrize(
    "model",
    [
        stacked(layers.Reshape((192, 1)), layers.Bidirectional(layers.LSTM(4))),
        stacked(layers.Reshape((4, 2, 8, 3)), layers.ConvLSTM2D(2, 1), layers.Flatten()),
        stacked(layers.Reshape((8, 24)), layers.Masking(), layers.GRU(4, return_sequences=True), layers.SimpleRNN(4)),
        stacked(layers.RandomFlip(), layers.Resizing(64, 48), layers.CenterCrop(40, 40), layers.Flatten()),
        stacked(layers.TimeDistributed(layers.Dense(2)), layers.Conv2DTranspose(4, 3), layers.GlobalMaxPooling2D()),
        stacked(make_model(), layers.Dense(4)),
    ],
)
def test_honest_networks_are_loaded_and_tried_out(tmp_path: Path, model: keras.Model) -> None:
    model.save(tmp_path / "a.keras")
    saved.try_out(saved.load(tmp_path / "a.keras"), 256)


@pytest.mark.parametrize("batch_size", [1, 7])
def test_largest_tensor_is_found_inside_layers_too(batch_size: int) -> None:
    inputs = keras.Input((8, 8, 3))
    tokens = layers.Reshape((64, 3))(inputs)
    attended = layers.MultiHeadAttention(num_heads=5, key_dim=2)(tokens, tokens)
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(attended)))
    assert (
        saved._trace(model, batch_size)[1].largest == 4 * batch_size * 5 * 64 * 64
    )  # the scores of each pair of pixels


def test_every_weight_of_the_file_comes_back(honest: Path) -> None:
    ours, theirs = saved.load(honest), keras.models.load_model(honest)
    for a, b in zip(ours.weights, theirs.weights, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
