import contextlib
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from tiny_run import make_data, make_model, make_run, make_summary
from typer.testing import CliRunner

from evacli import data, engine, evaluation, paths
from evacli.cli import app
from evacli.config import Config
from evacli.data.images import InMemory
from evacli.data.survey import survey
from evacli.engine import single
from evacli.errors import DataError, RunError
from evacli.evaluation import Predictions, load_best
from evacli.run import config_file, summary, trained
from evacli.run.directory import RunDir
from evacli.run.locking import exclusive
from evacli.run.trained import Trained


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return make_model()


@pytest.fixture
def run(tmp_path: Path, model: keras.Model) -> RunDir:
    run = RunDir(tmp_path / "run")
    run.create()
    run.config.write_text("{}")
    model.save(run.best_model)
    summary.write(run, make_summary())
    return run


def predict(model: keras.Model, images: np.ndarray, **options: object) -> np.ndarray:
    return evaluation.predict(engine.create(), model, InMemory(images), **options)


def pixels(n: int) -> np.ndarray:
    return np.random.default_rng(n).integers(0, 256, (n, 8, 8, 3), np.uint8)


def test_the_saved_model_predicts_as_the_one_in_memory(run, model):
    images = pixels(5)
    expected = model(images.astype(np.float32), training=False).numpy()
    np.testing.assert_allclose(predict(load_best(run), images), expected, atol=1e-6)


@pytest.mark.parametrize("n", [0, 1, 9, 10, 11, 25])
def test_every_image_is_predicted_once_and_in_order(model, monkeypatch, n):
    monkeypatch.setattr(single, "BATCH_SIZE", 10)
    images = pixels(n)
    got = predict(model, images)
    assert got.shape == (n, 3)
    assert got.dtype == np.float32
    for image, row in zip(images, got, strict=True):
        np.testing.assert_allclose(row, model(image[None].astype(np.float32)).numpy()[0], atol=1e-6)


@pytest.mark.parametrize("n", [1, 25])
def test_mirrored_is_the_mean_over_image_and_mirror_image(model, monkeypatch, n):
    monkeypatch.setattr(single, "BATCH_SIZE", 10)
    images = pixels(n)
    both = [model(x.astype(np.float32), training=False).numpy() for x in (images, images[:, :, ::-1])]
    np.testing.assert_allclose(predict(model, images, tta=True), np.mean(both, axis=0), atol=1e-6)
    assert not np.allclose(*both, atol=1e-3)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (2, 5), (1, 3)])
@pytest.mark.parametrize("mirror", [False, True])
def test_shifted_copies_weigh_half_of_the_image_and_reflect_its_borders(monkeypatch, height, width, mirror):
    monkeypatch.setattr(single, "BATCH_SIZE", 10)
    layers = [keras.layers.Rescaling(1 / 255), keras.layers.Flatten(), keras.layers.Dense(3, "softmax")]
    model = keras.Sequential([keras.layers.Input((height, width, 3)), *layers])  # where a pixel lies matters
    images = np.random.default_rng(3).integers(0, 256, (13, height, width, 3), np.uint8)
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect").astype(np.float32)
    views = {(0, 0): 0.25, (2, 2): 0.25, (1, 1): 0.5}
    expected = np.zeros((13, 3))
    for (row, column), weight in views.items():
        view = padded[:, row : row + height, column : column + width]
        both = [view, view[:, :, ::-1]] if mirror else [view]
        expected += weight * np.mean([model(x, training=False).numpy() for x in both], axis=0)
    alone = predict(model, images, tta=mirror)
    got = evaluation.predict_shifted(engine.create(), model, InMemory(images), alone, tta=mirror)
    np.testing.assert_allclose(got, expected, atol=1e-5)
    assert not np.allclose(got, alone, atol=1e-3)


def test_the_last_partial_batch_is_not_traced_again(model, monkeypatch):
    monkeypatch.setattr(single, "fast_copy", lambda network, layers: network)
    monkeypatch.setattr(single, "BATCH_SIZE", 10)
    traces = []

    class Spy(keras.layers.Layer):
        def call(self, x):
            traces.append(x.shape)
            return x

    spied = keras.Sequential([keras.layers.Input((8, 8, 3)), Spy(), *model.layers])
    traces.clear()
    predict(spied, pixels(25))
    assert traces == [(10, 8, 8, 3)]


def test_of_large_images_a_batch_holds_fewer(model, monkeypatch):
    monkeypatch.setattr(single, "fast_copy", lambda network, layers: network)
    monkeypatch.setattr(single, "BATCH_PIXELS", 200)
    sizes = []
    monkeypatch.setattr(model, "predict_on_batch", lambda batch: sizes.append(len(batch)) or np.zeros((len(batch), 3)))
    predict(model, pixels(7))
    assert sizes == [3, 3, 3]


def test_images_of_another_size_are_refused(model):
    with pytest.raises(RunError, match="8x8x3; these are 9x8x3"):
        predict(model, np.zeros((2, 9, 8, 3), np.uint8))


def test_an_untrained_run_names_the_command_that_comes_first(tmp_path):
    with pytest.raises(RunError, match="no trained model") as e:
        load_best(RunDir(tmp_path / "none"))
    assert e.value.fix.startswith("Run first: evacli train")


@pytest.mark.parametrize("keep", [0, 1, 0.5, -1])
def test_a_truncated_model_is_called_damaged(run, keep):
    content = run.best_model.read_bytes()
    cut = int(len(content) * keep) if isinstance(keep, float) else len(content[:keep])
    run.best_model.write_bytes(content[:cut])
    with pytest.raises(RunError, match="damaged") as e:
        load_best(run)
    assert "not found" not in str(e.value)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("position", [0.1, 0.5, 0.9])
def test_a_garbled_model_is_one_line_or_loads(run, position):
    content = bytearray(run.best_model.read_bytes())
    start = int(len(content) * position)
    content[start : start + 100] = b"\x55" * 100
    run.best_model.write_bytes(content)
    error = ""
    with contextlib.suppress(RunError):  # some bytes, such as padding, mean nothing
        try:
            load_best(run)
        except RunError as e:
            error = str(e)
            raise
    assert "\n" not in error


def test_a_directory_in_place_of_the_model_is_one_line(run):
    run.best_model.unlink()
    run.best_model.mkdir()
    with pytest.raises(RunError, match="damaged"):
        load_best(run)


def test_layers_that_compute_too_much_are_refused_before_they_do(run):
    layers = keras.layers
    model = keras.Sequential(
        [layers.Input((8, 8, 3)), layers.UpSampling2D(3000), layers.GlobalAveragePooling2D(), layers.Softmax()]
    )
    model.save(run.best_model)
    with pytest.raises(RunError, match="would need 1,648 GiB for a single layer's output"):
        load_best(run)


def test_a_model_for_other_classes_is_refused(run):
    summary.write(run, make_summary(class_names=("a", "b")))
    with pytest.raises(RunError, match="the run has 2 classes"):
        load_best(run)


def test_predictions_follow_their_definitions():
    probabilities = np.array([[0.7, 0.2, 0.1], [0.2, 0.5, 0.3], [0.1, 0.0, 0.9], [0.0, 1.0, 0.0]], np.float32)
    got = Predictions(probabilities, np.array([0, 2, 2, 0]))
    assert got.predicted.tolist() == [0, 1, 2, 1]
    assert got.mistakes.tolist() == [1, 3]
    assert got.accuracy == 0.5
    np.testing.assert_allclose(got.losses[:3], -np.log([0.7, 0.3, 0.9]), rtol=1e-6)
    assert 80 < got.losses[3] < np.inf


def test_no_images_have_no_accuracy():
    empty = Predictions(np.empty((0, 3), np.float32), np.empty(0, np.int64))
    assert np.isnan(empty.accuracy)
    assert empty.mistakes.size == 0


def test_the_data_of_the_training_passes():
    assert evaluation.check_data(make_summary(), make_data()) == ""


@pytest.mark.parametrize(
    ("names", "difference"),
    [
        (("cat", "dog"), r"without 'frog'\."),
        (("cat", "dog", "Frog"), r"without 'frog', with the new 'Frog'\."),
        (("dog", "cat", "frog"), r"the same names in another order\."),
        (tuple("abcdefg"), r"with the new 'a', 'b', 'c' and 4 more\."),
    ],
)
def test_other_classes_are_refused_with_the_difference(names, difference):
    with pytest.raises(DataError, match=difference):
        evaluation.check_data(make_summary(), make_data(names))


def test_other_images_are_told_with_their_numbers():
    changed = replace(make_data(num_test=29), fingerprint="f2")
    text = evaluation.check_data(make_summary(), changed)
    assert "12 training + 29 test images now, 12 training + 30 test images then." in text
    assert evaluation.check_data(make_summary(), replace(make_data(), fingerprint="f2")).endswith("then too.")


def test_class_names_are_compared_as_text():
    apart, composed = ("cafe\u0301", "dog", "frog"), ("caf\u00e9", "dog", "frog")
    found = make_data(composed)
    old = survey(apart, found.train, None, found.test).fingerprint  # as a version that took names as they are had it
    assert evaluation.check_data(make_summary(class_names=apart, data_fingerprint=old), found) == ""
    assert "not those" in evaluation.check_data(make_summary(class_names=apart, data_fingerprint="f2"), found)


def test_data_that_has_moved_is_told_with_the_way_out(tmp_path):
    run = make_run(tmp_path / "run", make_data())
    config_file.write(run, Config(epochs=3, data=str(tmp_path / "gone")))
    with pytest.raises(DataError, match=r"The data of .*run is no longer at .*gone") as e:
        evaluation.open_run(trained.read(run))
    assert "--data PATH" in e.value.fix


@pytest.mark.parametrize("command", ["export", "gradcam", "labels", "report"])
def test_each_command_that_names_a_way_out_has_it(tmp_path, command):
    run = make_run(tmp_path / "run", make_data())
    config_file.write(run, Config(epochs=3, data=str(tmp_path / "gone")))
    arguments = [command, "--run", str(run.path), *(["--format", "savedmodel"] if command == "export" else [])]
    assert "Say where it lies now with --data PATH" in CliRunner().invoke(app, arguments).stderr
    found = CliRunner().invoke(app, [*arguments, "--data", str(tmp_path / "elsewhere")]).stderr
    assert "elsewhere does not exist" in found


@pytest.fixture
def moved(tmp_path, digits) -> tuple[Trained, Path]:
    """A run whose data is gone, and where the same data lies now."""
    found = data.load(Config(data=str(digits)))
    run = make_run(tmp_path / "run", found, data_fingerprint=found.fingerprint)
    config_file.write(run, Config(epochs=3, data=str(tmp_path / "gone")))
    return trained.read(run), digits


def test_data_that_has_moved_is_used_where_it_lies_now_and_remembered(moved):
    stored, place = moved
    opened = evaluation.open_run(stored, place)
    assert (opened.difference, len(opened.data.test)) == ("", 100)
    assert config_file.read(stored.directory).data == str(place)
    assert evaluation.open_run(trained.read(stored.directory)).config == opened.config


@pytest.mark.parametrize("changed", ["x_test", "class_names"])
def test_other_data_has_not_moved_and_is_pointed_to_evaluate(moved, tmp_path, changed):
    stored, place = moved
    with np.load(place) as arrays:
        content = dict(arrays) | {"class_names": np.array(list("0123456789"))}
    content[changed] = content[changed].copy()
    content[changed].flat[-1] = {"x_test": content["x_test"].flat[-1] ^ 1, "class_names": "x"}[changed]
    np.savez(tmp_path / "other.npz", **content)
    with pytest.raises(DataError, match=r"not those that the run was trained on|without '9', with the new 'x'") as e:
        evaluation.open_run(stored, tmp_path / "other.npz")
    assert f"evacli evaluate --data {paths.shown(str(tmp_path))}/other.npz --run {stored.directory.path}" in e.value.fix
    assert config_file.read(stored.directory) == stored.config


def test_a_run_in_training_is_left_as_it_is(moved):
    stored, place = moved
    with exclusive(stored.directory):
        assert evaluation.open_run(stored, place).config.data == str(place)
    assert config_file.read(stored.directory) == stored.config
