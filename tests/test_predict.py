import json
from pathlib import Path

import cv2
import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from tiny_run import CLASSES, HOSTILE, make_data, make_run
from typer.testing import CliRunner

import evacli
from evacli.cli import app
from evacli.config import Config
from evacli.data import pictures
from evacli.data.files import File
from evacli.engine import single
from evacli.errors import DataError, RunError
from evacli.explaining.heatmap import grad_cam
from evacli.figures.gradcam import Explanation
from evacli.run import config_file
from evacli.run.directory import RunDir
from evacli.using import overlays
from evacli.using.predict import Predictor


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    return make_run(tmp_path_factory.mktemp("trained") / "run", make_data())


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven pictures of the network's size and of others, two of them in a folder inside."""
    folder, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(1)
    (folder / "inside").mkdir()
    for i, size in enumerate([(8, 8), (8, 8), (20, 31), (8, 8), (9, 5), (8, 8), (64, 64)]):
        place = folder / "inside" if i > 4 else folder
        name = "4" if i == 4 else f"{i}.png"  # told by its content
        Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8)).save(place / name, "png")
    (folder / "notes.txt").write_text("no picture")
    (folder / ".hidden.png").write_bytes((folder / "0.png").read_bytes())
    return folder


def plain(run: RunDir, path: Path) -> np.ndarray:
    """What Keras alone says about a picture of the network's size."""
    pixels = np.asarray(Image.open(path).convert("RGB"), np.float32)
    return keras.models.load_model(run.best_model)(pixels[None]).numpy()[0]


def test_probabilities_are_those_of_plain_keras(trained: RunDir, photos: Path) -> None:
    files = [photos / f"{i}.png" for i in (0, 1, 3)]
    result = evacli.predict(trained.path, files)
    assert [one.picture for one in result.predictions] == list(map(str, files))
    for one, file in zip(result.predictions, files, strict=True):
        expected = plain(trained, file)
        assert one.probabilities == pytest.approx(expected, abs=1e-5)
        assert one.predicted == CLASSES[expected.argmax()]
        assert one.probability == max(one.probabilities)


def test_a_picture_and_the_array_of_its_pixels_say_the_same(trained: RunDir, photos: Path) -> None:
    for name in ("0.png", "2.png", "inside/6.png"):
        pixels = np.asarray(Image.open(photos / name))
        from_file, from_array = (evacli.predict(trained.path, given) for given in (photos / name, pixels))
        assert from_file.predictions[0].probabilities == from_array.predictions[0].probabilities
    several = evacli.predict(trained.path, np.stack([np.asarray(Image.open(photos / f"{i}.png")) for i in (0, 1)]))
    assert [one.picture for one in several.predictions] == ["0", "1"]


def test_pictures_are_evaluated_as_in_the_run(tmp_path: Path, photos: Path) -> None:
    run = make_run(tmp_path / "run", make_data())
    alone = evacli.predict(run.path, photos / "0.png").predictions[0].probabilities
    config_file.write(run, Config(epochs=3, tta=True, flip=True))
    result = evacli.predict(run.path, photos / "0.png")
    pixels = np.asarray(Image.open(photos / "0.png"), np.float32)
    both = keras.models.load_model(run.best_model)(np.stack([pixels, pixels[:, ::-1]])).numpy()
    assert result.tta
    assert result.predictions[0].probabilities == pytest.approx(both.mean(0), abs=1e-5)
    assert alone != pytest.approx(both.mean(0), abs=1e-3)


def test_folders_and_patterns_mean_the_pictures_in_them(trained: RunDir, photos: Path) -> None:
    everything = evacli.predict(trained.path, photos)
    assert [Path(one.picture).stem for one in everything.predictions] == list("0123456")
    some = evacli.predict(trained.path, [f"{photos}/[1-3].png", photos / "inside"])
    assert [Path(one.picture).stem for one in some.predictions] == list("12356")
    with pytest.raises(DataError, match=r"nope\*\.png: there is no such picture"):
        evacli.predict(trained.path, [photos / "0.png", "nope*.png"])


def test_the_table_has_a_line_a_picture_and_a_column_a_class(trained: RunDir, photos: Path, tmp_path: Path) -> None:
    result = evacli.predict(trained.path, photos, out=tmp_path / "table.csv")
    table = pd.read_csv(tmp_path / "table.csv")
    assert list(table.columns) == ["picture", "predicted", "probability", *(f"p_{name}" for name in CLASSES)]
    shares = table[[f"p_{name}" for name in CLASSES]].to_numpy()
    np.testing.assert_allclose(shares, [one.probabilities for one in result.predictions], rtol=1e-5)
    assert table.predicted.tolist() == [CLASSES[i] for i in shares.argmax(1)]


def test_only_a_few_pictures_are_in_memory_at_a_time(
    trained: RunDir, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, decode = [], pictures.pixels
    monkeypatch.setattr(pictures, "pixels", lambda *file: read.append(file) or decode(*file))
    monkeypatch.setattr(single, "BATCH_SIZE", 2)
    for number, _ in enumerate(Predictor(trained.path).each([photos]), start=1):
        assert number <= len(read) <= number + 3  # what is left of two, and the next two
    assert number == 7


def test_what_cannot_be_read_is_named_at_the_end_and_the_rest_is_there(
    trained: RunDir, photos: Path, tmp_path: Path
) -> None:
    whole = (photos / "2.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.PNG").write_text("no picture")
    (tmp_path / "notes.txt").write_text("no picture")
    given = [str(tmp_path), str(photos / "0.png")]
    done = CliRunner().invoke(app, ["predict", *given, "--run", str(trained.path)])
    assert done.exit_code == 1
    warnings = done.stderr.splitlines()
    assert len(warnings) == 2
    assert "cut.png is left out: " in warnings[0]
    assert "text.PNG is left out: not an image" in warnings[1]
    assert "0.png" in done.stdout
    assert len(pd.read_csv(trained.predictions)) == 1


def test_nothing_but_what_cannot_be_read_is_an_error(trained: RunDir, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    table = tmp_path / "table.csv"
    table.write_text("of an earlier call")
    given = ["predict", str(tmp_path / "text.png"), "--gradcam", "--out", str(table), "--run", str(trained.path)]
    done = CliRunner().invoke(app, given)
    assert done.exit_code == 1
    assert "None of the pictures can be read. Name others than" in done.stderr
    assert table.read_text() == "of an earlier call"
    assert not (tmp_path / "table-gradcam").exists()


def test_json_is_a_line_a_picture_from_paths_on_stdin(trained: RunDir, photos: Path) -> None:
    paths = [str(photos / f"{i}.png") for i in range(3)]
    done = CliRunner().invoke(
        app, ["predict", "-", "--json", "--run", str(trained.path)], input="\n".join(paths) + "\n"
    )
    assert done.exit_code == 0
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["picture"] for line in lines] == paths
    assert all(sum(line["probabilities"]) == pytest.approx(1, abs=1e-5) for line in lines)
    assert done.stderr == ""


def test_the_most_probable_classes_are_listed_in_their_order(trained: RunDir, photos: Path) -> None:
    result = evacli.predict(trained.path, photos / "0.png")
    ((first, most), (_, next_most), (_, least)) = result.top(result.predictions[0], 3)
    assert (first, most) == (result.predictions[0].predicted, result.predictions[0].probability)
    assert most >= next_most >= least
    done = CliRunner().invoke(app, ["predict", str(photos / "0.png"), "--top", "3", "--run", str(trained.path)])
    rows = [line.split("│")[1:4] for line in done.stdout.splitlines() if line.startswith("│")]
    assert [name.strip() for _, name, _ in rows] == [name for name, _ in result.top(result.predictions[0], 3)]
    assert [name.strip() for name, _, _ in rows] == [str(photos / "0.png"), "", ""]


@pytest.mark.parametrize(
    "array",
    [np.zeros((8, 8, 3), np.float32), np.zeros((8, 8), np.uint8), np.zeros((2, 8, 8, 4), np.uint8)],
    ids=["float", "grey", "four channels"],
)
def test_arrays_of_another_kind_are_refused(trained: RunDir, array: np.ndarray) -> None:
    with pytest.raises(DataError, match="expected uint8 RGB"):
        evacli.predict(trained.path, array)


def test_hostile_names_of_classes_stay_in_their_cells(tmp_path: Path, photos: Path) -> None:
    run = make_run(tmp_path / "run", make_data(HOSTILE, num_test=24))
    done = CliRunner().invoke(app, ["predict", str(photos), "--top", "2", "--run", str(run.path)])
    assert done.exit_code == 0
    assert len(pd.read_csv(run.predictions)) == 7


def test_an_untrained_run_names_the_command_that_comes_first(tmp_path: Path, photos: Path) -> None:
    with pytest.raises(RunError, match="no trained model"):
        evacli.predict(tmp_path, photos)


def test_a_network_whose_weights_are_no_numbers_is_refused(tmp_path: Path, photos: Path) -> None:
    run = make_run(tmp_path / "run", make_data())
    model = keras.models.load_model(run.best_model)
    model.set_weights([weight * np.nan for weight in model.get_weights()])
    model.save(run.best_model)
    with pytest.raises(RunError, match="probabilities that are not numbers"):
        evacli.predict(run.path, photos / "0.png")


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[Explanation], str]]:
    """What pictures are drawn of, with their subtitles; the files are empty, and a grid holds three."""
    said: list[tuple[list[Explanation], str]] = []
    monkeypatch.setattr(overlays, "MOST_IN_GRID", 3)
    monkeypatch.setattr(overlays, "grid", lambda some, _, subtitle: said.append((list(some), subtitle)))
    monkeypatch.setattr(overlays.Singles, "pixels", lambda _, one: said.append(([one], "")))
    for save in ("save_once", "save_pixels"):
        monkeypatch.setattr(overlays, save, lambda _, path: path.touch())
    return said


def test_each_picture_is_drawn_with_the_evidence_for_its_class_and_the_first_in_a_grid(
    trained: RunDir, photos: Path, tmp_path: Path, drawn: list[tuple[list[Explanation], str]]
) -> None:
    (tmp_path / "text.png").write_text("no picture")
    folder = tmp_path / "table-gradcam"
    folder.mkdir()
    (folder / "00099-old-predicted-cat.png").touch()
    (folder / "mine.png").touch()
    result = evacli.predict(trained.path, [tmp_path / "text.png", photos], out=tmp_path / "table.csv", gradcam=True)
    names = [f"{i:05}-{i}-predicted-{one.predicted}.png" for i, one in enumerate(result.predictions)]
    assert [one.overlay for one in result.predictions] == [str(folder / name) for name in names]
    assert {path.name for path in folder.iterdir()} == {*names, "mine.png"}
    assert (result.folder, result.grid) == (str(folder), str(tmp_path / "table-gradcam.png"))
    *singles, (grid, subtitle) = drawn
    assert [one.name for one in grid] == ["0.png", "1.png", "2.png"]
    assert "the first 3 of 7 pictures" in subtitle
    model = keras.models.load_model(trained.best_model)
    for ((explanation,), _), one in zip(singles, result.predictions, strict=True):
        pixels = pictures.pixels(File.at(Path(one.picture)), (8, 8), "crop")
        np.testing.assert_array_equal(explanation.image, pixels)
        expected = grad_cam(model, pixels[None], np.array([CLASSES.index(one.predicted)]))
        np.testing.assert_allclose(explanation.maps, expected, atol=1e-5)
        assert explanation.true is None


def test_pictures_lie_beside_the_table_and_json_names_them(trained: RunDir, photos: Path) -> None:
    given = ["predict", str(photos / "0.png"), "--gradcam", "--run", str(trained.path)]
    done = CliRunner().invoke(app, given)
    grid, folder = trained.predictions_gradcam_png, trained.predictions_gradcam_folder
    assert f"{grid} shows where the network looked, {folder} has a picture of each." in done.stdout
    (single,) = folder.iterdir()
    assert all(cv2.imread(path).shape[1] > 500 for path in (grid, single))
    line = json.loads(CliRunner().invoke(app, [*given, "--json"]).stdout)
    assert line["overlay"] == str(single)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--layer", "conv2d"], "--layer conv2d is for --gradcam"),
        (["--method", "occlusion"], "--method occlusion is for --gradcam"),
        (["--gradcam", "--method", "occlusion", "--layer", "x"], "--layer x means nothing to --method occlusion"),
        (["--gradcam", "--layer", "no"], "--layer no is no"),
    ],
)
def test_a_layer_that_cannot_be_shown_is_refused_before_anything_is_read(
    trained: RunDir, tmp_path: Path, options: list[str], said: str
) -> None:
    out = ["--out", str(tmp_path / "table.csv")]
    done = CliRunner().invoke(app, ["predict", "nowhere.png", *options, *out, "--run", str(trained.path)])
    assert (done.exit_code, list(tmp_path.iterdir())) == (2, [])
    assert said in done.stderr
