"""Every method and its options through the command line, on digits."""

import json
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
from tiny_data import TINY
from typer.testing import CliRunner

from evacli.cli import app
from evacli.config import Config
from evacli.run import config_file
from evacli.run.checkpoint import load_progress
from evacli.run.directory import RunDir

OPTIONS = [
    "--momentum 0.8 --optimizer nesterov",
    "--optimizer adam --beta-1 0.8 --beta-2 0.99 --epsilon 1e-6 --weight-decay 0.1 --dropout none",
    "--optimizer rmsprop --rho 0.8 --momentum 0.5 --gradient-noise 0.01 --input-noise 0.1",
    "--dropout 0.1 --batch-size full",
    "--batch-size 1 --limit-train 20",
    "--schedule cyclical --cycle exp-range --cycles 2 --base-lr 0.001 --max-lr 0.01",
    "--schedule one-cycle --warmup-epochs 0.5 --base-lr 0.001 --max-lr 0.01",
    "--schedule step --drop-factor 3 --grow-batch 99 --epochs 2",
]
WRONG = [
    ("--optimizer sgd --momentum 0.9", "--momentum 0.9 means nothing to --optimizer sgd. It belongs to --optimizer"),
    ("--optimizer lbfgs", "--optimizer lbfgs: "),
    ("--lr 0.1 --max-lr 0.1", "--lr and --max-lr are two names for the same rate."),
    ("--max-lr -1", "--lr -1.0: "),
    ("--find-lr --lr 0.1", "--find-lr looks for what --lr 0.1 says. Leave one of them out."),
    ("--batch-size half", "--batch-size half: cannot be understood. Give a number, up-to- and a number, or full."),
    ("--batch-size 0", "--batch-size 0: "),
    ("--dropout some", "'some' is neither a number nor own or none."),
    pytest.param(
        "--spatial-dropout --model resnet20",
        "--spatial-dropout: the network resnet20 has no dropout layers.",
        marks=pytest.mark.tensorflow,
    ),
    ("--grow-batch 500", "--grow-batch 500 means nothing to --schedule one-cycle."),
]


def train(run: Path, data: Path, options: str) -> tuple[int, str]:
    given = ["train", "--run", str(run), "--data", str(data), "--precision", "float32", *options.split()]
    for name, value in (("--model", TINY), ("--batch-size", "32"), ("--epochs", "1")):
        given += [] if name in given else [name, value]
    ended = CliRunner().invoke(app, given)
    return ended.exit_code, ended.stderr


# The other methods train in test_resuming.py, or stand in OPTIONS.
@pytest.mark.tensorflow
@pytest.mark.parametrize("options", [*(f"--optimizer {name}" for name in ("sgd", "adagrad", "adadelta")), *OPTIONS])
def test_what_is_asked_for_is_what_trains(tmp_path: Path, digits: Path, options: str) -> None:
    code, err = train(tmp_path, digits, options)
    assert code == 0, err
    made = load_progress(RunDir(tmp_path)).config
    words = options.split()
    for name, value in pairwise(words):
        field = {"max_lr": "lr"}.get(found := name[2:].replace("-", "_"), found)
        if field in Config.__struct_fields__:
            stored = getattr(made, field)
            assert stored == (value if isinstance(stored, str) else float(value))
    assert (pd.read_csv(tmp_path / "history.csv").train_loss < 10).all()


@pytest.mark.parametrize(("options", "words"), WRONG)
def test_what_cannot_be_is_refused_in_one_line(tmp_path: Path, digits: Path, options: str, words: str) -> None:
    run = tmp_path / "run"
    code, err = train(run, digits, options)
    assert code in (1, 2)
    assert err.count("\n") == 1
    assert words in err
    assert not run.exists()


@pytest.mark.tensorflow
def test_a_run_remembers_its_optimizer_and_refuses_another(tmp_path: Path, digits: Path) -> None:
    assert train(tmp_path, digits, "--optimizer adam")[0] == 0
    assert config_file.read(RunDir(tmp_path)).optimizer == "adam"
    code, err = train(tmp_path, digits, "--optimizer lion --epochs 2")
    assert (code, "--optimizer lion (run: adam)" in err) == (2, True)


@pytest.mark.tensorflow
def test_a_new_run_looks_for_its_rate_first_where_it_is_told_to(
    tmp_path: Path, digits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evacli.lr_finder.range_test.DEFAULT", "quick")
    run = RunDir(tmp_path)
    assert train(tmp_path, digits, "--find-lr --batch-size 50")[0] == 0
    found, progress = run.lr_find_json.read_bytes(), load_progress(run)
    assert progress is not None
    assert progress.lr == json.loads(found)["lr"] is not None
    assert train(tmp_path, digits, "--find-lr --batch-size 50 --epochs 2")[0] == 0
    assert run.lr_find_json.read_bytes() == found
    assert "Name another --run." in train(tmp_path, digits, "--find-lr --batch-size 50 --overwrite")[1]
