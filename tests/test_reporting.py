import json
import re
import shutil
import subprocess
import sys
from base64 import b64decode, b64encode
from dataclasses import replace
from functools import partial
from hashlib import sha256
from types import SimpleNamespace
from zlib import crc32

import cv2
import keras
import msgspec
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from parsed_page import Page
from PIL import Image
from sklearn.metrics import balanced_accuracy_score, f1_score
from tiny_run import CLASSES, HOSTILE, make_data, make_model, make_rows, make_run, make_summary

import evacli.data
from evacli import console
from evacli.config import Config
from evacli.doubting import duplicates
from evacli.doubting import section as suspects
from evacli.doubting.duplicates import Duplicate
from evacli.errors import ConfigError, DataError, RunError
from evacli.explaining.explain import explain_worst, gradcam
from evacli.reporting import page
from evacli.reporting.report import report
from evacli.run import config_file, history, summary
from evacli.run.directory import RunDir
from evacli.run.locking import exclusive
from evacli.run.summary import Advice


@pytest.fixture(autouse=True)
def _undrawn(monkeypatch):
    """Empty pictures, since drawing takes a second; those of `reported` are drawn."""
    monkeypatch.setattr("evacli.figures.style.save", lambda figure, path: Figure((4, 3)).savefig(path))
    monkeypatch.setattr("evacli.explaining.explain.explain_worst", lambda run: None)


@pytest.fixture
def data(monkeypatch):
    data = make_data()
    monkeypatch.setattr(evacli.data, "load", lambda *_: data)
    return data


@pytest.fixture
def run(tmp_path, data):
    return make_run(tmp_path / "run", data)


@pytest.fixture
def warnings(monkeypatch):
    said = []
    monkeypatch.setattr(console, "warn", said.append)
    return said


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    """The report of a sound run: the run, its data, the result, and the warnings that were given."""
    data, said = make_data(), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evacli.data, "load", lambda *_: data)
        patch.setattr(console, "warn", said.append)
        patch.setattr("evacli.explaining.explain.explain_worst", lambda run: None)
        run = make_run(tmp_path_factory.mktemp("reported") / "run", data)
        return run, data, report(run.path), said


def page_of(run):
    return Page(run.report.read_text(encoding="utf-8"))


def test_the_figures_are_those_of_the_model(reported):
    _, data, result, _ = reported
    model = make_model()

    def answers(split):
        return model(split.images.array.astype(np.float32), training=False).numpy().argmax(1)

    right = answers(data.test) == data.test.labels
    assert result.test_accuracy == pytest.approx(right.mean())
    assert result.top_accuracy == pytest.approx(right.mean())
    assert result.train_accuracy == pytest.approx(np.mean(answers(data.train) == data.train.labels))
    assert (result.mistakes, result.test_images) == (np.sum(~right), 30)
    assert (result.top_epoch, result.chosen_by) == (2, "test")
    assert [score.name for score in result.classes] == list(CLASSES)
    assert sum(score.images for score in result.classes) == 30


def test_it_writes_the_page_two_pictures_and_a_table(reported):
    run, _, result, _ = reported
    assert len(pd.read_csv(result.misclassified)) == result.mistakes
    for picture in (run.curves_png, run.confusion_png):
        assert min(cv2.imread(str(picture)).shape[:2]) > 500
    text = page_of(run).text
    assert f"{result.top_accuracy:.2%}" in text
    assert f"{result.train_accuracy:.2%}" in text
    assert "epoch 2 of 3, chosen by test accuracy" in text


def test_the_page_needs_nothing_from_outside_and_runs_nothing(reported):
    run = reported[0]
    page = page_of(run)
    assert page.addresses
    assert all(address.startswith("data:") for address in page.addresses)
    tags = {tag for tag, _ in page.elements}
    assert tags.isdisjoint({"iframe", "object", "embed", "form", "base"})
    text = run.report.read_text(encoding="utf-8")
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    assert "default-src 'none'" in policy
    digest = b64encode(sha256(script.encode()).digest()).decode()
    assert re.findall(r"script-src ([^;]*);", policy) == [f"'sha256-{digest}'"]
    # What else stands in a script element is data.
    others = re.findall(r"<script ([^>]*)>", text)
    assert all(attributes.startswith(('type="application/json"', 'type="text/plain"')) for attributes in others)
    assert all(picture["alt"] for picture in page.pictures)


def test_the_gallery_holds_the_very_pixels_of_the_worst_mistakes(reported):
    run, data, result, _ = reported
    worst = pd.read_csv(result.misclassified)["index"]
    pictures = [p["src"] for p in page_of(run).pictures if "title" in p]
    assert len(pictures) == min(24, result.mistakes)
    for uri, index in zip(pictures, worst, strict=False):
        png = np.frombuffer(b64decode(uri.partition(",")[2]), np.uint8)
        np.testing.assert_array_equal(cv2.imdecode(png, cv2.IMREAD_COLOR)[..., ::-1], data.test.images.array[index])


def given(run):
    """What the page's script is given, with its sheets of thumbnails as pixels."""
    text = run.report.read_text(encoding="utf-8")
    (document,) = re.findall(r'<script type="application/json" id="given">(.*?)</script>', text, re.DOTALL)
    sheets = re.findall(r'<script type="text/plain" class="sheet">(.*?)</script>', text)
    return json.loads(document), [cv2.imdecode(np.frombuffer(b64decode(s), np.uint8), 1)[..., ::-1] for s in sheets]


def test_beside_a_mistake_stand_the_training_images_nearest_in_what_the_last_layer_is_given(reported):
    run, data, result, _ = reported
    document, _ = given(run)
    model = make_model()
    before = keras.Model(model.inputs[0], model.layers[-2].output)

    def embedded(split):
        vectors = before(split.images.array.astype(np.float32), training=False).numpy()
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    likeness = embedded(data.test) @ embedded(data.train).T
    (sheet,) = re.findall(r'<script type="text/plain" class="near">(.*?)</script>', run.report.read_text())
    pictures = cv2.imdecode(np.frombuffer(b64decode(sheet), np.uint8), 1)[..., ::-1].astype(float)
    assert len(document["near"]) == result.mistakes
    for index, beside in document["near"].items():
        nearest = np.argsort(-likeness[int(index)])[:3]
        assert [(label, name) for _, label, name in beside] == [
            (data.train.labels[i], data.train.names[i]) for i in nearest
        ]
        for (place, _, _), i in zip(beside, nearest, strict=True):
            y, x = (16 * part for part in divmod(place, document["columns"]))
            shown, image = pictures[y : y + 8, x : x + 8], data.train.images.array[i]
            assert np.abs(shown.mean(axis=(0, 1)) - image.mean(axis=(0, 1))).max() < 12


def test_copies_of_training_images_are_counted_left_out_and_shown(tmp_path, data):
    data.test.images.array[[4, 9]] = data.train.images.array[[7, 2]]
    run = make_run(tmp_path / "run", data)
    result = report(run.path, nearest=False)
    assert (result.duplicates, result.exact_duplicates) == (2, 2)
    table = pd.read_csv(run.duplicates)
    assert table[["test_index", "train_index"]].to_numpy().tolist() == [[4, 7], [9, 2]]
    others = np.delete(np.arange(30), [4, 9])
    said = make_model()(data.test.images.array[others].astype(np.float32), training=False).numpy().argmax(1)
    assert result.accuracy_without_duplicates == pytest.approx(np.mean(said == data.test.labels[others]))
    text = " ".join(page_of(run).text.split())
    assert "2 test images of 30 (6.67%) are among the training images too, 2 to the last pixel." in text
    assert f"{result.accuracy_without_duplicates:.2%} without" in text
    assert given(run)[0]["near"] == {}


def test_what_only_looks_like_a_training_image_is_called_no_copy(tmp_path, data, monkeypatch):
    monkeypatch.setattr(duplicates, "find", lambda *_: [Duplicate(4, 7, True, 1.0), Duplicate(9, 2, False, 0.9)])
    run = make_run(tmp_path / "run", data)
    report(run.path, nearest=False, gradcam=False)
    text = " ".join(page_of(run).text.split())
    assert "2 test images of 30 (6.67%) look like training images, 1 to the last pixel, the others but for" in text
    assert "alike by nature, as the pairs show." in text
    assert "among the training images too" not in text


def test_what_other_commands_found_stands_in_the_page(run):
    run.faithfulness.write_text("maps,most,least,gap\nGrad-CAM,0.125,0.75,0.625\nrandom,0.5,0.5,0\n")
    run.label_issues.write_text("part,index\n" + "test,3\n" * 12 + "validation,1\n")
    Image.new("RGB", (60, 40)).save(run.gradcam_png)
    Image.new("RGB", (60, 40)).save(run.label_issues_png)
    report(run.path, nearest=False)
    text = " ".join(page_of(run).text.split())
    assert "Grad-CAM 12.5% 75.0% +62.50" in text
    assert "12 test images and 1 validation image are suspected" in text
    run.label_issues.write_text("part,index\n")
    suspects.renew(run)
    assert "There are none that evacli labels suspects" in " ".join(page_of(run).text.split())
    run.faithfulness.write_bytes(b"maps\n\xff")
    run.label_issues.unlink()
    report(run.path, nearest=False)
    text = page_of(run).text
    assert "Labels that may be wrong" not in text
    assert "Whether the maps" not in text


def test_the_script_has_every_mistake_and_what_the_network_said_of_it(reported):
    run, data, _, _ = reported
    document, sheets = given(run)
    probabilities = make_model().predict_on_batch(data.test.images.array.astype(np.float32))
    table = pd.read_csv(run.misclassified)
    wrong = [row for row in document["rows"] if row[2] != row[3]]
    assert [row[0] for row in wrong] == table["index"].tolist()
    assert [document["classes"][row[3]] for row in wrong] == table["predicted_class"].tolist()
    for index, name, true, predicted, chance, top, chances, place in document["rows"]:
        assert (name, true) == (data.test.names[index], data.test.labels[index])
        assert predicted == top[0] == probabilities[index].argmax()
        assert top == np.argsort(-probabilities[index]).tolist()
        assert [*chances, chance] == pytest.approx(
            [*np.sort(probabilities[index])[::-1], probabilities[index, true]], rel=1e-3, abs=1e-9
        )
        column = 16 * place
        shown = sheets[0][(place // 16) * 16 :][:8, column % 256 :][:, :8]
        assert (
            np.abs(shown.astype(int) - data.test.images.array[index]).mean()
            < 60
            < np.abs(shown.astype(int) - data.test.images.array[index - 1]).mean()
        )


def test_what_there_is_no_room_for_is_named(run, monkeypatch):
    monkeypatch.setattr("evacli.reporting.sheets.PER_SHEET", 4)
    monkeypatch.setattr("evacli.reporting.explorer.ROOM_FOR_SHEETS", 1500)
    report(run.path)
    document, sheets = given(run)
    pictured = [row for row in document["rows"] if row[-1] >= 0]
    assert 0 < len(pictured) == 4 * len(sheets) < len(document["rows"])
    assert f"It has pictures of the {len(pictured)} worst mistakes" in " ".join(page_of(run).text.split())
    monkeypatch.setattr("evacli.reporting.explorer.ROOM_FOR_ROWS", 500)
    result = report(run.path)
    kept = [row for row in given(run)[0]["rows"] if row[2] != row[3]]
    assert f"room for the {len(kept)} worst of {result.mistakes} mistakes" in " ".join(page_of(run).text.split())
    assert len(pd.read_csv(result.misclassified)) == result.mistakes


def test_the_settings_that_differ_come_first(run):
    config_file.write(run, Config(epochs=3, cutout=0, crop=1, flip=True, dropout="none"))
    report(run.path)
    chosen = " ".join(page_of(run).text.split("What was chosen")[1].split("Curves")[0].split())
    assert chosen == "--cutout 0 default 4 --epochs 3 default 100 --lr 0.1 default 0.05"


def test_pictures_of_other_commands_are_included(run):
    report(run.path)
    before = page_of(run)
    assert "Where the network looked" not in before.text
    for path in (run.lr_find_png, run.gradcam_png):
        path.write_bytes(run.curves_png.read_bytes())
    report(run.path)
    after = page_of(run)
    assert "Where the network looked" in after.text
    assert "Learning rate range test" in after.text
    assert len(after.pictures) == len(before.pictures) + 2


def test_pictures_take_less_room_in_the_page_than_in_their_files(reported, tmp_path, data):
    run = RunDir(shutil.copytree(reported[0].path, tmp_path / "run"))
    noisy = np.random.default_rng(0).normal(128, 20, (200, 300, 3)).clip(0, 255).astype(np.uint8)
    cv2.imwrite(str(run.gradcam_png), cv2.GaussianBlur(noisy, (9, 9), 0))
    shutil.copy(run.curves_png, run.lr_find_png)
    report(run.path)
    for start, path, difference in (("Loss against", run.lr_find_png, 0), ("Grad-CAM", run.gradcam_png, 3)):
        (uri,) = [p["src"] for p in page_of(run).pictures if p["alt"].startswith(start)]
        shown = b64decode(uri.partition(",")[2])
        pixels, original = cv2.imdecode(np.frombuffer(shown, np.uint8), cv2.IMREAD_COLOR), cv2.imread(str(path))
        assert pixels.shape == original.shape
        assert np.abs(pixels.astype(int) - original).mean() <= difference
        assert len(shown) < 0.7 * path.stat().st_size


def test_grad_cam_is_in_the_page_in_whichever_order_it_was_asked_for(run, monkeypatch):
    explained = []
    monkeypatch.setattr("evacli.explaining.explain.explain_worst", lambda opened: explained.append(opened.run.path))
    report(run.path, gradcam=False)
    assert explained == []
    assert maps_of(run) == {}
    result = gradcam(run.path, n=2, select="first")
    assert list(maps_of(run)) == [str(shown.index) for shown in result.shown]
    assert "Where the network looked" in page_of(run).text
    renewed = run.report.read_text(encoding="utf-8")
    report(run.path)
    assert explained == []  # it has been drawn
    assert run.report.read_text(encoding="utf-8") == renewed


def test_a_report_draws_grad_cam_itself(run, monkeypatch):
    monkeypatch.setattr("evacli.explaining.explain.explain_worst", partial(explain_worst, n=2))
    report(run.path)
    assert list(maps_of(run)) == pd.read_csv(run.misclassified)["index"].astype(str).tolist()[:2]
    assert run.gradcam_png.exists()


def test_a_network_that_has_no_maps_has_a_report_all_the_same(run, monkeypatch):
    def refuse(*_):
        raise ConfigError("No layer keeps rows and columns.")

    said = []
    monkeypatch.setattr("evacli.explaining.explain.explain_worst", explain_worst)
    monkeypatch.setattr("evacli.explaining.explain.chosen_layer", refuse)
    monkeypatch.setattr(console, "note", said.append)
    report(run.path)
    assert said == ["The report has no Grad-CAM: No layer keeps rows and columns."]
    assert maps_of(run) == {}


@pytest.mark.parametrize(("source", "taken"), [("lr-find, steepest", "taken"), ("--lr", "not taken")])
def test_what_became_of_the_suggestions_is_said(run, monkeypatch, source, taken):
    found = SimpleNamespace(rule="steepest", lr=0.0123, suggestions={"steepest": 0.0123, "valley": 0.5, "slide": None})
    monkeypatch.setattr("evacli.reporting.page.suggestion", lambda _: found)
    expected = f"The suggestion of steepest, 0.0123, was {taken}."
    assert page.range_test(run, make_summary(lr_source=source)) == expected


def maps_of(run):
    text = run.report.read_text(encoding="utf-8")
    return json.loads(re.findall(r'<script type="application/json" id="maps">(.*?)</script>', text)[0])


def claims_many_pixels(png):
    """The same file with another size in its header, whose checksum is right."""
    header = b"IHDR" + (2**15).to_bytes(4) * 2 + png[24:29]
    return png[:12] + header + crc32(header).to_bytes(4) + png[33:]


@pytest.mark.parametrize(
    "spoil", [lambda png: b"<svg onload=alert(1)>", lambda png: png[:8], lambda png: png[:40], claims_many_pixels]
)
def test_a_picture_that_is_none_is_left_out(run, spoil):
    _, png = cv2.imencode(".png", np.zeros((9, 9, 3), np.uint8))
    run.gradcam_png.write_bytes(spoil(png.tobytes()))
    run.lr_find_png.mkdir()
    report(run.path)
    assert "Where the network looked" not in page_of(run).text


def test_it_ends_with_what_to_try_next(reported, run):
    reported_run, _, result, _ = reported
    assert result.advice
    shown = page_of(reported_run).text
    assert all(advice.reason in shown and advice.command in shown for advice in result.advice)
    assert summary.read(reported_run).advice == result.advice
    with exclusive(run):  # being trained, so that its summary is not touched
        before = run.summary.read_bytes()
        assert report(run.path).advice
        assert run.summary.read_bytes() == before


def test_the_page_may_be_passed_on_without_telling_where_the_data_lies(run, tmp_path, monkeypatch):
    folder = tmp_path / "my-pictures"
    folder.mkdir()
    config_file.write(run, Config(data=str(folder)))
    start = Advice(cause="", reason="", command=f"evacli train --data {folder} --weights imagenet")
    monkeypatch.setattr("evacli.reporting.advice.advise", lambda signs: (start,))
    assert report(run.path).advice == (start,)
    assert summary.read(run).advice[0].command == "evacli train --data my-pictures --weights imagenet"
    assert "my-pictures" in page_of(run).text
    assert str(folder) not in run.report.read_text(encoding="utf-8")


def test_class_names_inject_no_element(tmp_path, monkeypatch):
    harmless = tuple(f"class{i}" for i in range(len(HOSTILE)))
    pages = []
    for names in (harmless, HOSTILE):
        data = make_data(names, num_test=60)
        data = replace(data, test=replace(data.test, names=[names[i % len(names)] for i in range(60)]))
        monkeypatch.setattr(evacli.data, "load", lambda *_, data=data: data)
        run = make_run(tmp_path / names[1][:6].strip('"'), data, lr_source=names[0], model=names[2])
        report(run.path)
        pages.append(page_of(run))
    assert pages[1].elements == pages[0].elements
    assert HOSTILE[0] in pages[1].text
    assert HOSTILE[9] in pages[1].text
    assert r"lone \ud800 surrogate" in pages[1].text
    assert "\x1b" not in pages[1].text


def test_test_time_augmentation_is_done_and_said(run, data):
    plain = report(run.path)
    assert "mirror image" not in page_of(run).text
    run.config.write_text('{"tta": true, "flip": true}')
    found = report(run.path)
    answers, model = [], make_model()
    for image in data.test.images.array.astype(np.float32):
        answers.append(np.argmax(model(image[None]) + model(image[None, :, ::-1])))
    assert found.test_accuracy == pytest.approx(np.mean(answers == data.test.labels))
    assert found.most_confused != plain.most_confused
    assert found.plain_accuracy == plain.plain_accuracy == plain.test_accuracy != found.test_accuracy
    assert f"Without TTA {plain.test_accuracy:.2%}" in " ".join(page_of(run).text.split())
    assert "each image evaluated together with its mirror image" in page_of(run).text


def test_shifted_copies_are_evaluated_only_if_asked_for(run, data):
    assert report(run.path).shifted_accuracy is None
    assert "With shifts" not in page_of(run).text
    found = report(run.path, shifts=True)
    padded = np.pad(data.test.images.array, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect").astype(np.float32)
    height, width = data.image_shape[:2]
    views = [(1, 0.5), (0, 0.25), (2, 0.25)]
    model = make_model()
    answers = sum(w * model(padded[:, at : at + height, at : at + width]).numpy() for at, w in views)
    assert found.shifted_accuracy == pytest.approx(np.mean(answers.argmax(1) == data.test.labels))
    assert found.shifted_accuracy != found.test_accuracy
    assert "With shifts" in page_of(run).text


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"cutout": 0, "crop": 0, "flip": False}, "with dropout: it may lie"),
        ({"cutout": 4, "crop": 0, "flip": False}, "with augmentation and dropout: it may lie"),
    ],
)
def test_captions_name_what_training_had(run, settings, said):
    config_file.write(run, Config(epochs=3, **settings))
    result = report(run.path)
    text = " ".join(page_of(run).text.split())
    assert said in text
    assert f"without {' or '.join(result.obstacles)}" in text


def test_one_of_a_kind_is_not_spoken_of_as_many(tmp_path, monkeypatch):
    data = make_data(num_test=1)
    monkeypatch.setattr(evacli.data, "load", lambda *_: data)
    run = make_run(tmp_path / "run", data, epochs_done=1, top_epoch=1, train_images=1, validation_images=1)
    report(run.path)
    text = " ".join(page_of(run).text.split())
    for words in ("1 epoch on 1 training image in", "chosen on 1 validation image, evaluated on 1 test image."):
        assert words in text
    assert not re.search(r"(?<![\d,.])1 (?:epochs|mistakes|(?:\w+ )?images)\b", text)


def test_the_images_of_each_split_are_counted(tmp_path, monkeypatch):
    data = make_data()
    data = replace(data, validation=data.train.take(np.arange(5)))
    monkeypatch.setattr(evacli.data, "load", lambda *_: data)
    run = make_run(tmp_path / "run", data, validation_images=5)
    result = report(run.path)
    assert (result.train_images, result.validation_images, result.test_images) == (12, 5, 30)
    assert "12 training images in 0:01 (24 images/s), its best epoch chosen on 5 validation images" in " ".join(
        page_of(run).text.split()
    )


@pytest.mark.parametrize(("labels", "shown"), [([0, 1, 2] * 10, False), ([0] * 20 + [1] * 9 + [2], True)])
def test_unequal_classes_have_their_means_shown(tmp_path, monkeypatch, labels, shown):
    data = make_data()
    data = replace(data, test=replace(data.test, labels=np.array(labels)))
    monkeypatch.setattr(evacli.data, "load", lambda *_: data)
    run = make_run(tmp_path / "run", data)
    result = report(run.path)
    predicted = make_model().predict_on_batch(data.test.images.array.astype(np.float32)).argmax(1)
    assert result.balanced_accuracy == pytest.approx(balanced_accuracy_score(labels, predicted))
    assert result.macro_f1 == pytest.approx(f1_score(labels, predicted, average="macro"))
    for words in ("Balanced accuracy", "Macro F1"):
        assert (words in page_of(run).text) is shown


def test_of_many_classes_the_least_recalled_come_first(tmp_path, monkeypatch):
    names = tuple(f"class {i}" for i in range(40))
    data = make_data(names, num_train=40, num_test=120)
    monkeypatch.setattr(evacli.data, "load", lambda *_: data)
    run = make_run(tmp_path / "run", data)
    result = report(run.path)
    assert [score.name for score in result.classes] == list(names)
    table = page_of(run).text.split("Recall")[1]
    expected = sorted(result.classes, key=lambda score: score.recall)
    at = [re.search(rf"{score.name}\b", table).start() for score in expected]
    assert at == sorted(at)
    assert "Balanced accuracy" in page_of(run).text


def test_the_rate_of_an_epoch_is_its_highest_where_that_is_known(run, monkeypatch):
    drawn = []
    monkeypatch.setattr("evacli.figures.curves.draw_curves", lambda *_, peaks, **__: drawn.append(peaks))
    monkeypatch.setattr("evacli.figures.style.save", lambda figure, path: path.touch())
    report(run.path)
    assert drawn == [[None, None, None]]  # the rates of the history are not those of the settings
    config_file.write(run, Config(epochs=3, schedule="linear", batch_size=4))
    rows = [msgspec.structs.replace(row, lr=lr) for row, lr in zip(make_rows(3), (0.075, 0.0375, 0.0), strict=True)]
    run.history.write_text(history.to_csv(rows))
    report(run.path)
    assert drawn[1] == pytest.approx([0.1, 0.0625, 0.025])


def test_an_epoch_chosen_by_validation_is_said_so(tmp_path, data):
    run = make_run(tmp_path / "run", data, chosen_by="validation", top_accuracy=0.75)
    result = report(run.path)
    text = page_of(run).text
    assert result.top_accuracy == 0.75
    assert "Top validation accuracy" in text
    assert "chosen by validation accuracy" in text
    assert f"{result.test_accuracy:.2%}" in text
    assert "flatters" not in text


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"state": "unfinished"}, "unfinished: 3 of 3 epochs"),
        ({"state": "failed"}, "no longer finite"),
        ({"data_fingerprint": "other"}, "not those that the run was trained on"),
        ({"test_accuracy": 1.0}, "not the 100.00% that the training measured"),
    ],
)
def test_what_makes_the_figures_doubtful_is_told(tmp_path, data, warnings, changes, said):
    run = make_run(tmp_path / "run", data, **changes)
    report(run.path)
    assert len(warnings) == 1
    assert said in warnings[0]
    assert said in page_of(run).text


def test_a_sound_run_gives_no_warning(reported):
    assert reported[3] == []


def test_data_with_other_classes_is_refused_and_nothing_written(run, monkeypatch):
    monkeypatch.setattr(evacli.data, "load", lambda *_: make_data(("cat", "dog", "toad")))
    with pytest.raises(DataError, match=r"without 'frog', with the new 'toad'"):
        report(run.path)
    assert not run.report.exists()


def test_no_mistakes_are_no_problem(tmp_path, monkeypatch):
    data = make_data()
    answers = make_model().predict_on_batch(data.test.images.array.astype(np.float32)).argmax(1)
    data = replace(data, test=replace(data.test, labels=answers))
    monkeypatch.setattr(evacli.data, "load", lambda *_: data)
    run = make_run(tmp_path / "run", data)
    result = report(run.path)
    assert result.mistakes == 0
    assert result.most_confused == []
    assert "every test image was recognised" in page_of(run).text


@pytest.mark.parametrize("content", ["", "epoch,lr\n", "garbage", "a,b\n1,2\n"])
def test_a_history_that_is_none_is_one_line(run, content):
    run.history.write_text(content)
    with pytest.raises(RunError) as e:
        report(run.path)
    assert str(run.history) in str(e.value)
    assert "\n" not in str(e.value)


def test_a_garbled_configuration_is_one_line(run):
    run.config.write_text("{")
    with pytest.raises(RunError, match="not an evacli configuration"):
        report(run.path)


def test_the_configuration_of_the_run_chooses_the_data(run, data, monkeypatch):
    used = []
    monkeypatch.setattr(evacli.data, "load", lambda config, *_: used.append(config) or data)
    config_file.write(run, Config(dataset="digits", limit_test=30, epochs=3))
    report(run.path)
    assert used == [Config(dataset="digits", limit_test=30, epochs=3)]


UNTRAINED = """
import sys
from evacli.errors import RunError
from evacli.explaining.explain import explain_worst, gradcam
from evacli.reporting.report import report
try:
    report(sys.argv[1])
except RunError as e:
    print(e.message, e.fix)
print([name for name in ("tensorflow", "keras", "numpy", "matplotlib", "cv2", "sklearn") if name in sys.modules])
"""


@pytest.mark.parametrize("made", [False, True])
def test_an_untrained_run_is_refused_before_anything_heavy_is_imported(tmp_path, made):
    path = tmp_path / "run"
    if made:
        path.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", UNTRAINED, str(path)], capture_output=True, text=True, check=True, cwd=sys.path[0] or "."
    )
    assert done.stdout == f"{path} has no trained model. Run first: evacli train --run {path}\n[]\n"
    assert path.exists() == made
