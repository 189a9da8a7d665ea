"""Each format's network against plain Keras; without its packages a format is left out, see `make test-export`."""

import json
import runpy
import sys
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image
from tiny_run import CLASSES, HOSTILE, make_data, make_model, make_run
from typer.testing import CliRunner

import evacli
import evacli.data
from evacli import extras
from evacli.backend import tf
from evacli.cli import app
from evacli.config import Config
from evacli.errors import ConfigError, ModelError
from evacli.run import config_file
from evacli.run.directory import RunDir
from evacli.using import export as workflow
from evacli.using.exporting import litert, savedmodel

pytestmark = pytest.mark.tensorflow
# 12 training images are few to fit whole numbers to.
KINDS = [("savedmodel", None), ("litert", None), ("litert", "float16"), ("litert", "int8")]
WITH_EXTRAS = [("onnx", None), ("onnx", "float16"), ("onnx", "int8"), ("openvino", None), ("openvino", "float16")]
Exported = Callable[[str, workflow.Quantize | None], workflow.ExportResult]
CLOSE = {None: 1e-5, "float16": 5e-3, "int8": 0.15}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    return make_run(tmp_path_factory.mktemp("exported") / "run", make_data())


@pytest.fixture(scope="module")
def exported(run: RunDir) -> Exported:
    """Exports the run, to each kind once."""
    return cache(lambda *kind: evacli.export(run.path, kind[0], quantize=kind[1], tolerance=0.1 if kind[1] else None))


@pytest.fixture(autouse=True)
def _data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evacli.data, "load", lambda *_: make_data())


def _answers(format: str, folder: str, pixels: np.ndarray) -> np.ndarray:
    """What the runtime of a format says, asked as its own documentation has it."""
    file = Path(folder)
    if format == "savedmodel":
        loaded = tf.saved_model.load(folder)
        return loaded.signatures["serving_default"](tf.constant(pixels))["output_0"].numpy()
    if format == "litert":
        return np.concatenate([_in_lite(file / "model.tflite", pixels[i : i + 1]) for i in range(len(pixels))])
    if format == "onnx":
        import onnxruntime

        return onnxruntime.InferenceSession(file / "model.onnx").run(None, {"pixels": pixels})[0]
    import openvino

    return openvino.compile_model(file / "model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(pixels)[0]


def _in_lite(file: Path, image: np.ndarray) -> np.ndarray:
    interpreter = litert._interpreter()(str(file))
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


@pytest.mark.filterwarnings("ignore:.*\n*.*tf.lite.Interpreter is deprecated")
@pytest.mark.parametrize(("format", "quantize"), [*KINDS, *WITH_EXTRAS])
def test_an_exported_network_says_what_it_says_in_keras(
    run: RunDir,
    exported: Exported,
    format: str,
    quantize: workflow.Quantize | None,
    capfd: pytest.CaptureFixture[str],
) -> None:
    for package in workflow.EXPORTS[format].needs:
        pytest.importorskip(package)
    result = exported(format, quantize)
    assert capfd.readouterr() == ("", "")
    data = make_data().test
    pixels = data.images.array.astype(np.float32)
    expected = keras.models.load_model(run.best_model)(pixels).numpy()
    found = _answers(format, result.folder, pixels)
    largest = np.max(np.abs(found - expected))
    assert largest < CLOSE[quantize]
    assert result.largest_difference == pytest.approx(largest, abs=1e-6)
    assert result.other_class == np.sum(found.argmax(1) != expected.argmax(1))
    assert result.accuracy == pytest.approx(np.mean(found.argmax(1) == data.labels))
    assert result.keras_accuracy == pytest.approx(np.mean(expected.argmax(1) == data.labels))
    assert result.images == 30


def test_the_document_beside_it_tells_how_to_use_it(exported: Exported) -> None:
    result = exported("savedmodel", None)
    about = json.loads((Path(result.folder) / "model.json").read_text())
    assert about["class_names"] == list(CLASSES)
    assert about["input"]["shape"] == [None, 8, 8, 3]
    assert about["accuracy"] == pytest.approx(result.accuracy)
    assert about["versions"]["keras"] == keras.__version__
    assert "8x8" in about["preprocessing"]["resize"]


def test_the_file_itself_has_the_names_of_the_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = make_data(HOSTILE, num_test=24)
    monkeypatch.setattr(evacli.data, "load", lambda *_: data)
    result = evacli.export(make_run(tmp_path / "run", data).path, "litert")
    with zipfile.ZipFile(result.file) as behind:
        assert json.loads(behind.read("class_names.json")) == list(HOSTILE)


@pytest.mark.parametrize("format", ["onnx", "openvino"])
def test_so_has_that_of_an_extra(exported: Exported, format: str) -> None:
    package = pytest.importorskip(format)
    result = exported(format, None)
    if format == "onnx":
        names = {entry.key: entry.value for entry in package.load(result.file).metadata_props}["class_names"]
    else:
        names = package.Core().read_model(result.file).get_rt_info(["model_info", "class_names"]).value
    assert json.loads(names) == list(CLASSES)


def test_a_network_that_says_something_else_is_not_kept(
    run: RunDir, exported: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Path(exported("savedmodel", None).folder)
    before = sorted(kept.rglob("*"))
    load = savedmodel.load
    # Of another class for those images of which the first class is the most probable.
    monkeypatch.setattr(savedmodel, "load", lambda file: lambda pixels: load(file)(pixels) * [0, 1, 1])
    pixels = make_data().test.images.array.astype(np.float32)
    others = np.mean(make_model()(pixels).numpy().argmax(1) == 0)
    done = CliRunner().invoke(app, ["export", "--format", "savedmodel", "--run", str(run.path)])
    assert done.exit_code == 1
    assert done.stdout == ""
    assert f"another class for {round(30 * others)} of 30 test images" in done.stderr
    assert done.stderr.count("\n") == 1
    assert sorted(kept.rglob("*")) == before
    assert [path.name for path in run.exports.iterdir() if path.name.startswith(".")] == []


def test_what_cannot_be_converted_is_one_line(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(order: object, file: Path) -> None:
        sys.stdout.write("noise")
        file.write_text("half")
        raise ValueError("No such operation\nand pages of graphs")

    monkeypatch.setattr(savedmodel, "convert", fail)
    with pytest.raises(ModelError, match=r"cannot be converted to savedmodel: No such operation\.$"):
        evacli.export(run.path, "savedmodel")


def test_an_export_replaces_the_one_before(run: RunDir, exported: Exported) -> None:
    folder = Path(exported("savedmodel", None).folder)
    (folder / "stale").touch()
    leftover = folder.with_name(".savedmodel.999999999-00000000.tmp")
    leftover.mkdir()
    evacli.export(run.path, "savedmodel")
    assert not (folder / "stale").exists()
    assert not leftover.exists()


def test_a_run_with_mirror_images_says_what_is_not_exported(tmp_path: Path) -> None:
    data = make_data()
    run = make_run(tmp_path / "run", data)
    config_file.write(run, Config(epochs=3, tta=True, flip=True))
    result = evacli.export(run.path, "savedmodel")
    pixels = data.test.images.array.astype(np.float32)
    plain, mirrored = (make_model()(view).numpy() for view in (pixels, pixels[:, :, ::-1]))
    assert result.plain_accuracy == pytest.approx(np.mean(plain.argmax(1) == data.test.labels))
    assert result.run_accuracy == pytest.approx(np.mean((plain + mirrored).argmax(1) == data.test.labels))
    done = CliRunner().invoke(app, ["export", "--format", "savedmodel", "--run", str(run.path)])
    assert "the exported network does not do that" in done.stdout
    assert max(map(len, done.stdout.splitlines()[1:-1])) <= 80  # but for the lines that name the folder


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["onxx"], "Did you mean onnx?"),
        (["savedmodel", "--quantize", "int8"], "--quantize int8: evacli does not write savedmodel so"),
        (["litert", "--tolerance", "1.5"], "--tolerance 1.5: must be a share"),
    ],
)
def test_what_cannot_be_asked_for_is_named(run: RunDir, arguments: list[str], message: str) -> None:
    done = CliRunner().invoke(app, ["export", "--run", str(run.path), "--format", *arguments])
    assert done.exit_code == 2
    assert message in done.stderr


def test_a_missing_package_names_its_extra(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="needs tf2onnx, onnx and onnxruntime, which are not installed") as refused:
        evacli.export(run.path, "onnx")
    assert refused.value.fix == "Run: pip install 'evacli[onnx]'"


@pytest.mark.parametrize(
    ("script", "format", "package"),
    [
        ("in_onnx", "onnx", "onnxruntime"),
        ("in_litert", "litert", "ai_edge_litert"),
        ("in_tensorflow", "savedmodel", "tensorflow"),
        ("in_openvino", "openvino", "openvino"),
    ],
)
def test_the_examples_that_use_it_without_evacli_say_what_a_picture_shows(
    run: RunDir,
    exported: Exported,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    script: str,
    format: str,
    package: str,
) -> None:
    for name in (package, *workflow.EXPORTS[format].needs):
        pytest.importorskip(name)
    picture = make_data().test.images.array[3]
    Image.fromarray(picture).save(tmp_path / "picture.png")
    monkeypatch.setattr(sys, "argv", [script, exported(format, None).folder, str(tmp_path / "picture.png")])
    runpy.run_path(str(Path(__file__).parent.parent / "examples" / "export" / f"{script}.py"))
    expected = keras.models.load_model(run.best_model)(picture[None].astype(np.float32)).numpy()[0]
    assert capsys.readouterr().out == f"{CLASSES[expected.argmax()]} {expected.max():.2%}\n"
