import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest
import typer
from tiny_run import HOSTILE, make_data, make_run
from typer.testing import CliRunner

import evacli.data
from evacli.commands.gradcam import gradcam_command
from evacli.data.images import InMemory
from evacli.data.types import Data
from evacli.errors import ConfigError, DataError, EvacliError, RunError
from evacli.explaining import overlays
from evacli.explaining.explain import GradcamResult, gradcam
from evacli.explaining.options import TITLES
from evacli.run import gradcam_files
from evacli.run.directory import RunDir

app = typer.Typer()
app.command("gradcam")(gradcam_command)


@pytest.fixture(scope="module")
def data() -> Data:
    return make_data()


@pytest.fixture(scope="module")
def trained(tmp_path_factory, data) -> Path:
    return make_run(tmp_path_factory.mktemp("trained") / "run", data).path


@pytest.fixture
def run(tmp_path, trained, data, monkeypatch) -> RunDir:
    monkeypatch.setattr(evacli.data, "load", lambda *_: data)
    shutil.copytree(trained, tmp_path / "run")
    return RunDir(tmp_path / "run")


@pytest.fixture
def undrawn(monkeypatch) -> None:
    """Empty files in place of pictures, where only their names matter."""
    monkeypatch.setattr(overlays, "grid", lambda *_: None)
    monkeypatch.setattr(overlays.Singles, "pixels", lambda *_: None)
    for save in ("save_once", "save_pixels"):
        monkeypatch.setattr(overlays, save, lambda _, path: path.touch())


@pytest.fixture(scope="module")
def probabilities(trained, data) -> np.ndarray:
    """What plain Keras makes of the test images."""
    model = keras.models.load_model(trained / "best.keras")
    return model.predict_on_batch(data.test.images.array.astype(np.float32))


@pytest.fixture(scope="module")
def mistakes(probabilities, data) -> list[int]:
    return [i for i, row in enumerate(probabilities) if row.argmax() != data.test.labels[i]]


def shown(result: GradcamResult) -> list[int]:
    return [image.index for image in result.shown]


def pictures(run: RunDir) -> set[str]:
    return {path.name for path in run.gradcam_folder.iterdir()}


def everything(run: RunDir) -> list[Path]:
    return sorted(run.path.rglob("*"))


def call(run: RunDir, *options: str):
    return CliRunner().invoke(app, ["--run", str(run.path), *options], catch_exceptions=False)


@pytest.mark.usefixtures("undrawn")
def test_every_mistake_is_told_as_it_is(run, data, probabilities, mistakes):
    result = gradcam(run.path, n=100, select="first")
    assert shown(result) == mistakes
    assert (result.images, result.mistakes) == (30, len(mistakes))
    for image in result.shown:
        row, label = probabilities[image.index], data.test.labels[image.index]
        assert image.name == data.test.names[image.index]
        assert image.predicted == data.class_names[row.argmax()]
        assert image.true == data.class_names[label]
        assert image.predicted_probability == pytest.approx(row.max(), abs=1e-5)
        assert image.true_probability == pytest.approx(row[label], abs=1e-5)
        assert image.loss == pytest.approx(-np.log(max(row[label], np.finfo(np.float32).tiny)), rel=1e-3)


@pytest.mark.usefixtures("undrawn")
def test_data_that_has_moved_is_named_once(run, tmp_path):
    call(run, "--data", str(tmp_path / "moved"), "--n", "1")
    assert json.loads(run.config.read_text())["data"] == str(tmp_path / "moved")


@pytest.mark.usefixtures("undrawn")
def test_the_worst_have_the_highest_loss(run, data, probabilities, mistakes):
    true = probabilities[mistakes, data.test.labels[mistakes]]
    result = gradcam(run.path, n=4)
    assert shown(result) == [mistakes[i] for i in np.argsort(true, kind="stable")[:4]]
    assert result.mistakes == len(mistakes)


@pytest.mark.usefixtures("undrawn")
def test_random_ones_are_the_same_each_time_and_not_the_first(run, mistakes):
    first = shown(gradcam(run.path, n=5, select="random"))
    assert first == shown(gradcam(run.path, n=5, select="random"))
    assert set(first) < set(mistakes)
    assert first != mistakes[:5]


@pytest.mark.usefixtures("undrawn")
def test_one_class_alone(run, data, mistakes):
    of_class = [i for i in mistakes if data.class_names[data.test.labels[i]] == "dog"]
    result = gradcam(run.path, n=100, select="first", class_name="dog", target="pred")
    assert (result.images, result.mistakes, shown(result)) == (10, len(of_class), of_class)


def test_the_files_are_a_grid_and_a_picture_of_each(run):
    result = gradcam(run.path, n=3)
    assert (result.picture, result.folder) == (str(run.gradcam_png), str(run.gradcam_folder))
    assert pictures(run) == {Path(image.picture).name for image in result.shown}
    for path in (result.picture, *(image.picture for image in result.shown)):
        assert cv2.imread(path) is not None
    first = result.shown[0]
    assert Path(first.picture).name == f"{first.index:05d}-predicted-{first.predicted}-true-{first.true}.png"


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(("target", "overlays_shown"), [("pred", 1), ("true", 1), ("both", 2)])
def test_the_target_decides_what_is_explained(run, monkeypatch, target, overlays_shown):
    asked = {}
    original = evacli.explaining.heatmap.heat_maps

    def spied(model, images, class_indices, *rest):
        asked.update(classes=class_indices)
        return original(model, images, class_indices, *rest)

    monkeypatch.setattr("evacli.explaining.heatmap.heat_maps", spied)
    result = gradcam(run.path, n=4, target=target)
    names = {"pred": [[i.predicted] for i in result.shown], "true": [[i.true] for i in result.shown]}
    names["both"] = [[i.predicted, i.true] for i in result.shown]
    assert asked["classes"].shape == (4, overlays_shown)
    assert [[("cat", "dog", "frog")[c] for c in row] for row in asked["classes"]] == names[target]


def test_another_layer_another_picture(run):
    last = gradcam(run.path, n=2)
    before = run.gradcam_png.read_bytes()
    other = gradcam(run.path, n=2, layer="rescaling")
    assert other.layer == "rescaling" != last.layer
    assert run.gradcam_png.read_bytes() != before


@pytest.mark.usefixtures("undrawn")
def test_a_call_replaces_the_pictures_of_the_one_before_and_no_others(run):
    run.gradcam_folder.mkdir()
    (run.gradcam_folder / "mine.png").write_bytes(b"")
    (run.gradcam_folder / "notes.txt").write_text("keep")
    gradcam(run.path, n=6)
    result = gradcam(run.path, n=2, select="first")
    assert pictures(run) == {"mine.png", "notes.txt"} | {Path(image.picture).name for image in result.shown}


@pytest.mark.usefixtures("undrawn")
def test_without_mistakes_the_least_certain_are_shown_and_said_to_be(run, data, probabilities, monkeypatch):
    right = evacli.data.Split(data.test.images, probabilities.argmax(axis=1), data.test.names)
    monkeypatch.setattr(evacli.data, "load", lambda *_: replace(data, test=right))
    done = call(run, "--n", "3")
    assert done.exit_code == 0
    assert "No mistakes among 30 test images: these are the 3 of which the network was least certain." in done.stdout
    told = json.loads(call(run, "--n", "3", "--json").stdout)
    assert [one["index"] for one in told["shown"]] == np.argsort(probabilities.max(axis=1))[:3].tolist()
    assert (told["kind"], told["mistakes"]) == ("least certain", 0)


@pytest.mark.usefixtures("undrawn")
def test_nothing_that_is_asked_for_leaves_nothing_to_show(run, data, probabilities, monkeypatch):
    gradcam(run.path, n=2)
    wrong = evacli.data.Split(data.test.images, probabilities.argmin(axis=1), data.test.names)
    monkeypatch.setattr(evacli.data, "load", lambda *_: replace(data, test=wrong))
    done = call(run, "--of", "correct")
    assert (done.exit_code, done.stdout) == (0, "Nothing to explain among 30 test images.\n")
    assert not run.gradcam_png.exists()
    assert pictures(run) == set()
    assert json.loads(call(run, "--of", "correct", "--json").stdout)["picture"] is None


@pytest.mark.usefixtures("undrawn")
def test_correct_ones_all_and_those_of_a_number(run, mistakes):
    assert shown(gradcam(run.path, n=100, of="all", select="first")) == list(range(30))
    correct = gradcam(run.path, n=100, of="correct")
    assert sorted(shown(correct)) == sorted({*range(30)} - {*mistakes})
    losses = [image.loss for image in correct.shown]
    assert losses == sorted(losses, reverse=True)
    assert correct.found == 30 - correct.mistakes
    assert shown(gradcam(run.path, n=1, index=(7, 2, 7))) == [7, 2]
    assert "2 of 30 test images, as asked for by number." in call(run, "--index", "7", "--index", "2").stdout


def test_a_method_is_named_in_table_and_picture(run, monkeypatch):
    headings = []
    monkeypatch.setattr(
        overlays, "write", lambda run, e, heading, alpha: headings.append(heading) or [run.path] * len(e)
    )
    for method, title in TITLES.items():
        assert title in call(run, "--method", method, "--n", "1").stdout
        assert headings[-1][0].startswith(f"{title}: what the network looked at")
    assert "layer" not in headings[-1][0]  # of occlusion


def test_fewer_mistakes_than_asked_for_are_all_shown_and_said(run, mistakes):
    done = call(run, "--n", "500")
    assert (
        f"{len(mistakes)} of {len(mistakes)} mistakes among 30 test images, fewer than the 500 asked for" in done.stdout
    )
    assert len(pictures(run)) == len(mistakes)


@pytest.mark.usefixtures("undrawn")
def test_more_than_the_grid_holds_still_have_their_own_picture(run, monkeypatch):
    monkeypatch.setattr(overlays, "MOST_IN_GRID", 2)
    done = call(run, "--n", "4")
    assert len(pictures(run)) == 4
    assert "shows the first 2" in done.stderr


def test_the_command_names_layer_images_and_files(run):
    done = call(run, "--n", "3", "--class", "cat", "--target", "pred")
    for expected in ("Grad-CAM at layer dropout", "cat", "%", str(run.gradcam_png), "of class cat"):
        assert expected in done.stdout


@pytest.mark.usefixtures("undrawn")
def test_with_json_stdout_is_the_result_and_nothing_else(run):
    done = call(run, "--n", "3", "--json")
    result = json.loads(done.stdout)
    assert result["picture"] == str(run.gradcam_png)
    assert result["layer"] == "dropout"
    assert len(result["shown"]) == 3
    assert done.stderr == ""


@pytest.mark.parametrize("option", [(), ("--json",)])
def test_hostile_class_names_are_drawn_written_and_printed(tmp_path, monkeypatch, option):
    data = make_data(HOSTILE, num_test=len(HOSTILE))
    monkeypatch.setattr(evacli.data, "load", lambda *_: data)
    run = make_run(tmp_path / "run", data)
    done = call(run, "--n", "12", *option)
    assert done.exit_code == 0
    assert "\x1b[31mred" not in done.stdout
    for name in pictures(run):
        assert gradcam_files.OURS.fullmatch(name)
        assert len(name) < 128
    if option:
        assert {image["true"] for image in json.loads(done.stdout)["shown"]} <= set(HOSTILE)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"n": 0}, "--n 0"),
        ({"n": -3}, "--n -3"),
        ({"alpha": 1.5}, r"--alpha 1\.5"),
        ({"alpha": float("nan")}, "--alpha nan"),
        ({"select": "best"}, "--select best.*worst, random, first"),
        ({"target": "all"}, "--target all.*pred, true, both"),
        ({"class_name": "catt"}, "--class catt"),
        ({"layer": "nope"}, "--layer nope"),
    ],
)
def test_what_cannot_be_used_is_one_line_and_nothing_is_written(run, arguments, reason):
    before = everything(run)
    with pytest.raises(ConfigError, match=reason) as error:
        gradcam(run.path, **arguments)
    assert "\n" not in error.value.message + error.value.fix
    assert everything(run) == before


@pytest.mark.usefixtures("undrawn")
def test_a_class_is_named_in_any_spelling(tmp_path, monkeypatch):
    composed, apart = "caf\u00e9", "cafe\u0301"
    data = make_data((composed, "dog", "frog"))
    monkeypatch.setattr(evacli.data, "load", lambda *_: data)
    run = make_run(tmp_path / "run", data)
    assert gradcam(run.path, class_name=apart).images == gradcam(run.path, class_name=composed).images == 10


def test_an_unknown_class_is_answered_with_those_that_there_are(run):
    with pytest.raises(ConfigError) as error:
        gradcam(run.path, class_name="catt")
    assert "cat, dog, frog" in error.value.fix


def test_an_untrained_run_names_the_command_that_comes_first(tmp_path):
    with pytest.raises(RunError, match="no trained model") as error:
        gradcam(tmp_path / "new")
    assert "evacli train" in error.value.fix
    assert not (tmp_path / "new").exists()


def test_data_with_other_classes_is_refused(run, monkeypatch):
    other = make_data(("cat", "frog", "dog"))
    monkeypatch.setattr(evacli.data, "load", lambda *_: other)
    with pytest.raises(DataError, match="other classes"):
        gradcam(run.path)


def test_images_of_another_size_are_refused(run, monkeypatch):
    data = make_data()
    taller = (
        replace(split, images=InMemory(split.images.array.repeat(2, axis=1))) for split in (data.train, data.test)
    )
    other = replace(data, **dict(zip(("train", "test"), taller, strict=True)))
    monkeypatch.setattr(evacli.data, "load", lambda *_: other)
    with pytest.raises(RunError, match="made for images of 8x8x3; these are 16x8x3"):
        gradcam(run.path)


def test_a_file_in_the_place_of_the_folder_is_one_line(run):
    run.gradcam_folder.write_text("in the way")
    with pytest.raises(EvacliError, match="Cannot create the folder"):
        gradcam(run.path)
