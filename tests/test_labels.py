"""Suspected labels; without cleanlab those tests are left out that need it, see `make test-export`."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from tiny_run import HOSTILE, make_data, make_run
from typer.testing import CliRunner

import evacli
import evacli.data
from evacli import extras
from evacli.cli import app
from evacli.data.images import InMemory
from evacli.data.types import Data, Split
from evacli.errors import ConfigError
from evacli.evaluation import Predictions
from evacli.run.directory import RunDir

CLASSES = (*HOSTILE[:2], "猫 🐈")
PLANTED = [4, 17, 40]
needs_cleanlab = pytest.mark.skipif(not extras.installed("cleanlab"), reason="it is an extra")


def _said(labels: np.ndarray, sure: float = 0.9) -> Predictions:
    """A network that is sure of the class whose number is the image's, modulo 3."""
    probabilities = np.full((len(labels), 3), (1 - sure) / 2, np.float32)
    probabilities[np.arange(len(labels)), np.arange(len(labels)) % 3] = sure
    return Predictions(probabilities, labels)


def _with_planted(count: int = 60) -> np.ndarray:
    labels = np.arange(count) % 3
    labels[PLANTED] = (labels[PLANTED] + 1) % 3
    return labels


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDir:
    """Whose network is right about all images but those with a planted label, and has validation images of no use."""
    made = make_data(CLASSES, num_test=60)
    test = Split(made.test.images, _with_planted(), [f"=test/{i}.png" for i in range(60)])
    held = Split(InMemory(made.test.images.array[:9]), np.arange(9) % 3, [str(i) for i in range(9)])
    data = Data(**{**vars(made), "test": test, "validation": held})
    monkeypatch.setattr(evacli.data, "load", lambda *_: data)
    monkeypatch.setattr(
        "evacli.evaluation.EvaluatedRun._views", lambda _, split, __: _said(split.labels).probabilities[None]
    )
    return make_run(tmp_path / "run", data)


@needs_cleanlab
def test_planted_labels_are_suspected_as_cleanlab_ranks_them(run: RunDir) -> None:
    from cleanlab.rank import get_normalized_margin_for_each_label

    found = evacli.labels(run.path)
    assert [(s.part, s.index) for s in found.suspects] == [("test", i) for i in PLANTED]
    labels = _with_planted()
    margins = get_normalized_margin_for_each_label(labels, _said(labels).probabilities)  # 0 to 1, 0.5 at no margin
    ours = [(s.given_probability - s.suggested_probability + 1) / 2 for s in found.suspects]
    assert ours == pytest.approx(sorted(margins)[:3])
    assert [s.suggested for s in found.suspects] == [CLASSES[i % 3] for i in PLANTED]
    test, validation = found.parts
    assert (test.accuracy, test.accuracy_without, test.suspects) == (pytest.approx(57 / 60), 1, 3)
    assert (validation.images, validation.suspects, validation.accuracy_without) == (9, 0, 1)


@needs_cleanlab
def test_the_files_hold_them_and_go_once_there_are_none(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    done = CliRunner().invoke(app, ["labels", "--run", str(run.path)])
    assert done.exit_code == 0, done.stderr
    assert "accuracy 95.00%; without the 3 suspected labels among 60 test images 100.00%" in done.stdout
    assert max(len(line) for line in done.stdout.splitlines() if line[0] in "┏┃┡│└") <= 80
    table = pd.read_csv(run.label_issues)
    assert table["index"].tolist() == PLANTED
    assert table.suggested_probability.tolist() == pytest.approx([0.9] * 3)
    assert table.name.str.startswith("'=test/").all()  # no formula of a spreadsheet's
    with Image.open(run.label_issues_png) as picture:
        assert picture.width > 1000
    monkeypatch.setattr("evacli.doubting.suspects.find", lambda _: np.empty(0, np.int64))
    done = CliRunner().invoke(app, ["labels", "--run", str(run.path), "--json"])
    assert json.loads(done.stdout)["picture"] is None
    assert not run.label_issues_png.exists()
    assert run.label_issues.read_text().count("\n") == 1


@needs_cleanlab
def test_labels_of_one_class_alone_are_not_suspected() -> None:
    from evacli.doubting.suspects import find

    assert len(find(_said(np.zeros(9, np.int64)))) == 0


def test_without_cleanlab_a_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "installed", lambda _: False)
    with pytest.raises(ConfigError, match="needs cleanlab, which is not installed") as refused:
        evacli.labels(tmp_path)
    assert refused.value.fix == "Run: pip install 'evacli[labels]'"


def test_nothing_is_left_to_be_right_about() -> None:
    said = _said(np.arange(3))
    assert said.accuracy_without(np.arange(3)) is None
    assert _said(np.array([0, 0, 0])).accuracy_without([1]) == 0.5
