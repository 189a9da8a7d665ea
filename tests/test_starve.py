"""With little memory a command ends well or with one line, and a run keeps what it has; `make starve` tries more."""

from pathlib import Path

import pytest
import starve

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return starve.prepare(tmp_path_factory.mktemp("prepared"))


@pytest.mark.parametrize("gigabytes", [2.0, 2.8])  # where TensorFlow does not start, and where a step may not fit
def test_nothing_is_lost(prepared: Path, gigabytes: float) -> None:
    assert starve.starve(prepared, "train, resumed", gigabytes)[1] == []


def test_a_training_that_is_too_big_is_refused_before_it_begins(tmp_path: Path) -> None:
    settings = ("--dataset", "digits", "--image-size", 96, "--batch-size", 1400, "--precision", "float32")
    ended = starve.evacli(tmp_path, 6, "train", "--run", "run", *settings)
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: Training --model eva in batches of 1400 takes about ")
    assert ended.stderr.endswith(" GB are free. Use --batch-size 700, smaller images or a smaller network.\n")
    assert ended.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()
