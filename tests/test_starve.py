"""With little memory a command ends well or with one line, and a run keeps what it has; `make starve` tries more."""

from pathlib import Path

import pytest
import starve
from evacli_processes import Evacli


@pytest.fixture(scope="module")
def run(evacli: Evacli) -> starve.Run:
    return starve.imported(evacli)


def test_nothing_is_lost(run: starve.Run, tmp_path: Path) -> None:
    prepared = starve.prepare(tmp_path, run)
    assert starve.starve(prepared, "train, resumed", 2.4, run)[1] == []


def test_a_training_that_is_too_big_is_refused_before_it_begins(run: starve.Run, tmp_path: Path) -> None:
    settings = ("--dataset", "digits", "--image-size", 96, "--batch-size", 1400, "--precision", "float32")
    ended = run(tmp_path, 6, "train", "--quiet", "--run", "run", *settings)
    assert ended.code == 1
    assert ended.err.startswith("error: Training --model eva in batches of 1400 takes about ")
    assert ended.err.endswith(" GB are free. Use --batch-size 700, smaller images or a smaller network.\n")
    assert ended.err.count("\n") == 1
    assert not (tmp_path / "run").exists()
