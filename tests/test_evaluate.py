import json
import unicodedata
from pathlib import Path

import cv2
import keras
import numpy as np
import pandas as pd
import pytest
import sklearn.metrics
from PIL import Image
from tiny_run import make_data, make_run
from typer.testing import CliRunner

import evacli
from evacli.cli import app
from evacli.config import Config
from evacli.errors import DataError, RunError
from evacli.run import config_file, evaluations
from evacli.run.directory import Evaluation, RunDir
from evacli.training.start import forget

CLASSES = ("owl", "cafe\u0301", "dog", "cat", "x" * 90, "bee", "ant")  # in no order, one with its accent apart
CAFE = "caf\u00e9"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    return make_run(tmp_path_factory.mktemp("trained") / "run", make_data(CLASSES, num_train=14))


def write(folder: Path, counts: dict[str, int], size: tuple[int, int] = (8, 8)) -> Path:
    """Pictures of noise in a folder for each class."""
    rng = np.random.default_rng(3)
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for i in range(count):
            Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8)).save(folder / name / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of all classes, of some more than of others."""
    folder = tmp_path_factory.mktemp("data") / "photos"
    return write(folder, {unicodedata.normalize("NFC", name): 2 + 3 * i for i, name in enumerate(sorted(CLASSES))})


def plain(run: RunDir, folder: Path, mirrored: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """The labels in the run's order and what Keras alone says."""
    classes = [unicodedata.normalize("NFC", name) for name in CLASSES]
    files = sorted(folder.glob("*/*.png"))
    labels = np.array([classes.index(unicodedata.normalize("NFC", file.parent.name)) for file in files])
    pixels = np.stack([cv2.imread(file)[..., ::-1] for file in files]).astype(np.float32)
    said = keras.models.load_model(run.best_model)(pixels[:, :, ::-1] if mirrored else pixels).numpy()
    return labels, said.astype(np.float64)


def expected_calibration_error(labels: np.ndarray, said: np.ndarray) -> float:
    confidence, right = said.max(1), said.argmax(1) == labels
    error = 0.0
    for low in np.arange(15) / 15:
        inside = (confidence >= low) & (confidence < low + 1 / 15 + (low == 14 / 15))
        if inside.any():
            error += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return error


def test_the_figures_are_those_of_plain_keras_and_scikit_learn(run: RunDir, photos: Path) -> None:
    result = evacli.evaluate(run.path, data=photos)
    labels, said = plain(run, photos)
    predicted = said.argmax(1)
    near = pytest.approx
    assert result.accuracy == near(sklearn.metrics.accuracy_score(labels, predicted))
    five = [label in np.argsort(row)[-5:] for label, row in zip(labels, said, strict=True)]
    assert result.top5_accuracy == near(np.mean(five))
    assert result.balanced_accuracy == near(sklearn.metrics.balanced_accuracy_score(labels, predicted))
    assert result.macro_f1 == near(sklearn.metrics.f1_score(labels, predicted, average="macro"))
    shares = said / said.sum(1, keepdims=True)
    assert result.loss == near(sklearn.metrics.log_loss(labels, shares, labels=range(7)), rel=1e-4)
    assert result.calibration_error == near(expected_calibration_error(labels, said), abs=1e-5)
    assert (result.images, result.part, result.without_images) == (len(labels), "", ())
    assert 0 < result.mistakes == (predicted != labels).sum() < len(labels)
    folder = Evaluation(run.evaluations / "photos")
    assert {str(file) for file in folder.files} == {result.figures, result.confusion, result.misclassified}
    stored = json.loads(folder.figures.read_text())
    assert (stored["data"], stored["mistakes"]) == (str(photos), result.mistakes)
    table = pd.read_csv(folder.misclassified)
    assert len(table) == result.mistakes
    assert {name.split("/")[0] for name in table.file} <= {*CLASSES, CAFE}
    assert cv2.imread(folder.confusion_png).shape[0] > 300


def test_pictures_of_other_sizes_and_of_some_classes_are_evaluated_as_predicted(
    run: RunDir, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write(tmp_path / "some", {"dog": 3, "ant": 4}, (20, 31))
    result = evacli.evaluate(run.path, data=folder)
    said = evacli.predict(run.path, folder, out=tmp_path / "table.csv").predictions
    right = sum(Path(one.picture).parent.name == one.predicted for one in said)
    assert (result.images, result.mistakes) == (7, 7 - right)
    assert len(result.without_images) == 5
    assert "7 of 7 images were resized and cropped to 8x8 pixels" in (err := capsys.readouterr().err)
    assert "images of 2 of the run's 7 classes" in err


def test_a_class_that_the_run_does_not_know_is_refused_by_name(run: RunDir, tmp_path: Path) -> None:
    folder = write(tmp_path / "unknown", {"dog": 1, "Owl": 1, "empty": 0})
    with pytest.raises(DataError, match=r"unknown has a class that the run does not know: 'Owl'\.") as e:
        evacli.evaluate(run.path, data=folder)
    assert e.value.fix.startswith(f"The run knows owl, {CAFE}, dog, cat, ")
    assert not (run.evaluations / "unknown").exists()


def test_of_data_in_parts_the_test_part_counts(run: RunDir, tmp_path: Path) -> None:
    write(tmp_path / "parts/test", {"dog": 2, "cat": 1})
    (tmp_path / "parts/train/dog").mkdir(parents=True)
    (tmp_path / "parts/train/dog/broken.png").touch()
    result = evacli.evaluate(run.path, data=tmp_path / "parts")
    assert (result.part, result.images) == ("test", 3)


def test_images_are_evaluated_as_in_the_run(tmp_path: Path, photos: Path) -> None:
    run = make_run(tmp_path / "run", make_data(CLASSES, num_train=14))
    config_file.write(run, Config(epochs=3, tta=True, flip=True))
    labels, alone = plain(run, photos)
    said = (alone + plain(run, photos, mirrored=True)[1]) / 2
    result = evacli.evaluate(run.path, data=photos)
    assert (result.tta, result.mistakes) == (True, (said.argmax(1) != labels).sum())
    assert result.loss == pytest.approx(-np.log(said[np.arange(len(labels)), labels]).mean(), rel=1e-4)
    assert np.any(said.argmax(1) != alone.argmax(1))


def test_data_of_one_name_has_a_folder_for_each_and_training_anew_forgets_them(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", make_data(CLASSES, num_train=14))
    places = [write(tmp_path / where / "night", {"dog": 1}) for where in "ab"]
    folders = [Path(evacli.evaluate(run.path, data=place).figures).parent.name for place in (*places, *places)]
    assert folders == ["night", "night-2", "night", "night-2"]
    mine = run.evaluations / "night-2" / "notes.txt"
    mine.touch()
    forget(run)
    assert list(run.evaluations.rglob("*")) == [mine.parent, mine]


@pytest.mark.parametrize("path", ["/", "/photos/..", "/photos/a b\u2026", "/" + "y" * 300])
def test_any_path_gives_a_folder_in_the_run(tmp_path: Path, path: str) -> None:
    run = RunDir(tmp_path)
    folder = evaluations.folder_of(run, path).path
    assert folder.parent == run.evaluations
    assert 0 < len(folder.name) < 70


def test_a_link_in_place_of_the_folder_is_refused(tmp_path: Path, photos: Path) -> None:
    run = make_run(tmp_path / "run", make_data(CLASSES, num_train=14))
    (tmp_path / "outside").mkdir()
    run.evaluations.symlink_to(tmp_path / "outside")
    with pytest.raises(RunError, match="is a link"):
        evacli.evaluate(run.path, data=photos)
    assert not list((tmp_path / "outside").iterdir())


def test_files_that_cannot_be_read_are_named_or_skipped(run: RunDir, tmp_path: Path) -> None:
    folder = write(tmp_path / "broken", {"dog": 2})
    (folder / "dog/text.png").write_text("no picture")
    command = ["evaluate", "--data", str(folder), "--run", str(run.path)]
    done = CliRunner().invoke(app, command)
    assert (done.exit_code, "dog/text.png (not an image)" in done.stderr) == (1, True)
    done = CliRunner().invoke(app, [*command, "--skip-bad", "--json"])
    assert done.exit_code == 0
    assert json.loads(done.stdout)["images"] == 2


def test_the_table_has_80_columns_at_most(run: RunDir, photos: Path) -> None:
    done = CliRunner().invoke(app, ["evaluate", "--data", str(photos), "--run", str(run.path)])
    table = [line for line in done.stdout.splitlines() if line[0] in "┏┃┡│└"]
    assert len(table) > 10
    assert max(map(len, table)) <= 80
    assert str(run.evaluations / "photos") in done.stdout
