"""Recipes: those that come along, a user's own, and what is refused."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_data import TINY
from typer.testing import CliRunner

import evacli
from evacli import config, recipes
from evacli.cli import app
from evacli.errors import ConfigError, ModelError
from evacli.run import config_file
from evacli.run.directory import RunDir


def written(folder: Path, text: str | bytes) -> str:
    path = folder / "own.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


@pytest.mark.parametrize("name", recipes.names())
def test_those_that_come_along_are_valid(name: str) -> None:
    assert config.make(evacli.recipe(name)) != config.Config()


def test_the_assignment_has_cutout_alone_and_a_rate_cut_on_plateaus() -> None:
    made = config.make(evacli.recipe("assignment"))
    assert (made.model, made.optimizer, made.schedule, made.crop, made.flip) == ("eva", "momentum", "plateau", 0, False)
    assert made.cutout is None  # half of the image


@pytest.mark.tensorflow
def test_fast_does_not_mirror_what_has_no_mirror_image(tmp_path: Path) -> None:
    small = {"dataset": "digits", "limit_train": 64, "limit_test": 32, "model": TINY, "epochs": 1, "batch_size": 32}
    small["precision"] = "float32"
    digits = evacli.train(tmp_path / "digits", **(evacli.recipe("fast") | small))
    flipped = evacli.train(tmp_path / "flipped", **(evacli.recipe("fast") | small | {"flip": True}))
    assert (digits.tta, flipped.tta) == (False, True)
    again = evacli.train(tmp_path / "digits", **(evacli.recipe("fast") | small | {"epochs": 2}))
    assert again.epochs_done == 2


@pytest.mark.tensorflow
def test_options_go_before_a_recipe_and_the_run_remembers_both(tmp_path: Path) -> None:
    run = tmp_path / "run"
    data = ["--dataset", "digits", "--limit-train", "64", "--limit-test", "32"]
    given = ["--model", TINY, "--epochs", "1", "--schedule", "step", "--precision", "float32"]
    ended = CliRunner().invoke(app, ["train", "--run", str(run), "--recipe", "assignment", *data, *given])
    assert ended.exit_code == 0, ended.stderr
    stored = config_file.read(RunDir(run))
    assert stored is not None
    assert (stored.schedule, stored.model, stored.crop) == ("step", TINY, 0)


def test_a_run_is_a_recipe_for_another_one(tmp_path: Path) -> None:
    made = config.Config(dataset="digits", optimizer="adam", lr=0.003, cutout=0, flip=False, epochs=7)
    config_file.write(RunDir(tmp_path), made)
    assert config.make(evacli.recipe(str(tmp_path))) == made
    other = config.make(config.over(evacli.recipe(str(tmp_path)), {"epochs": 9, "data": "elsewhere"}))
    assert (other.optimizer, other.lr, other.epochs, other.data, other.dataset) == ("adam", 0.003, 9, "elsewhere", None)


def test_the_code_that_a_strangers_run_names_is_not_run(tmp_path: Path) -> None:
    code = tmp_path / "net.py"
    code.write_text("raise SystemExit")
    config_file.write(RunDir(tmp_path), config.Config(model=f"{code}:build"))
    with pytest.raises(ModelError, match="not named in a command on this machine") as refused:
        evacli.recipe(str(tmp_path))
    assert "add --model" in refused.value.fix


def test_max_lr_goes_before_the_rate_of_a_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[dict[str, object]] = []
    monkeypatch.setattr("evacli.training.train.train", lambda run, **settings: trained.append(settings))
    CliRunner().invoke(app, ["train", "--recipe", "fast", "--max-lr", "0.02", "--optimizer", "adam"])
    assert (trained[0]["lr"], trained[0]["optimizer"], trained[0]["epochs"]) == (0.02, "adam", 4)
    assert "momentum" not in trained[0]


def test_the_list_shows_options_as_one_would_give_them() -> None:
    listed = CliRunner().invoke(app, ["recipes"]).stdout
    for words in ("assignment", "--schedule plateau", "--no-flip", "fast", "--tta", "airbench"):
        assert words in listed


def test_a_recipe_of_ones_own(tmp_path: Path) -> None:
    path = written(tmp_path, 'about = "mine"\n[settings]\noptimizer = "adamw"\nlr = 0.01\nlabel_smoothing = 0.1\n')
    assert evacli.recipe(path) == {"optimizer": "adamw", "lr": 0.01, "label_smoothing": 0.1}


WRONG = [
    ('about = "x"\n[settings]\nlr = -1\n', "--lr -1: must be more than 0."),
    ('about = "x"\n[settings]\nlrr = 1\n', "There is no such setting"),
    ('about = "x"\n[settings\n', "cannot be used: Expected ']'"),
    ('abut = "x"\n', "unknown field abut"),
    (b"\xff\xfe", "cannot be used: "),
    ('about = "x"\n[settings]\nmodel = "evil.py:build"\n', "names a network in a Python file."),
    ('about = "x"\n[settings]\noptimizer = "sgd"\nmomentum = 0.9\n', "--momentum 0.9 means nothing to --optimizer sgd"),
]


@pytest.mark.parametrize(("text", "answer"), WRONG)
def test_what_is_wrong_with_a_recipe_is_said_in_a_line(tmp_path: Path, text: str | bytes, answer: str) -> None:
    path, run = written(tmp_path, text), tmp_path / "run"
    ended = CliRunner().invoke(app, ["train", "--run", str(run), "--recipe", path])
    assert ended.exit_code == 2
    assert answer in ended.stderr.replace("\n", " ")
    assert not run.exists()


@pytest.mark.parametrize("name", ["no-such", "", "../secret", "no-such.toml"])
def test_a_recipe_that_does_not_exist(name: str) -> None:
    with pytest.raises(ConfigError, match="--recipe"):
        recipes.read(name)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_recipe_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = written(tmp_path_factory.mktemp("recipes"), content)
    with pytest.raises(ConfigError):
        recipes.read(path)


def test_the_list_as_json() -> None:
    ended = CliRunner().invoke(app, ["recipes", "--json"])
    listed = json.loads(ended.stdout)
    assert set(listed) == set(recipes.names())
    assert all(config.make(recipe["settings"]) for recipe in listed.values())
