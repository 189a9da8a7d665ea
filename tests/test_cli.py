import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from evacli_processes import Ended, Evacli
from tiny_data import TINY
from typer.testing import CliRunner

import evacli as package
from evacli.cli import app

HEAVY = ("tensorflow", "keras", "numpy", "matplotlib", "cv2", "sklearn", "scipy", "PIL", "jinja2", "plotext")
COMMANDS = ("lr-find", "train", "report", "gradcam", "predict", "evaluate", "compare", "runs")

# Runs command lines, those that are several divided by a +, and tells which of the given modules they have imported.
SPY = f"""
import sys
from itertools import groupby
import evacli.__main__
from evacli.cli import app
for divides, words in groupby(sys.argv[1:], "+".__eq__):
    if not divides:
        try:
            app(list(words), prog_name="evacli")
        except SystemExit as end:
            assert not end.code, end.code
sys.stderr.write(" ".join(name for name in {HEAVY} if name in sys.modules))
"""


def python(*arguments: object, **environment: str) -> Ended:
    """Runs Python in a process that shares nothing with this one."""
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | environment)
    return Ended(done.returncode, done.stdout, done.stderr)


HELP = " + ".join(("--help", "--version", *(f"{name} --help" for name in COMMANDS))).split()


@pytest.mark.slow
def test_help_imports_nothing_that_takes_time_and_is_the_same_where_python_leaves_docstrings_out() -> None:
    found = python("-c", SPY, *HELP)
    assert (found.code, found.err) == (0, "")
    assert found.out.count("Usage: ") == len(COMMANDS) + 1
    assert python("-OO", "-c", SPY, *HELP).out == found.out


@pytest.fixture(scope="module")
def trained(evacli: Evacli, tmp_path_factory: pytest.TempPathFactory, digits: Path) -> tuple[Path, Ended]:
    """A run, and what its training said; it asked for JSON."""
    path = tmp_path_factory.mktemp("trained") / "run"
    return path, evacli("train", "--run", path, "--json", *settings(digits))


def test_finished_run_does_not_wait_for_tensorflow(trained: tuple[Path, Ended]) -> None:
    found = python("-c", SPY, "train", "--run", trained[0], "--quiet")
    assert found.out.startswith("Top accuracy ")
    assert found.err == "numpy"


def test_help_lists_the_commands_and_each_has_an_example(evacli: Evacli) -> None:
    overview = evacli("--help").out
    for name in COMMANDS:
        assert name in overview
        assert f"Example: evacli {name}" in evacli(name, "--help").out


def test_every_setting_is_an_option_of_train(evacli: Evacli) -> None:
    from evacli.config import Config, option

    shown = evacli("train", "--help").out
    for field in Config.__struct_fields__:
        assert option(field) in shown


def test_no_command_shows_the_help(evacli: Evacli) -> None:
    found = evacli()
    assert found.code == 0
    assert found.out.strip() == evacli("--help").out.strip()
    assert found.err == ""


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_version(evacli: Evacli, option: str) -> None:
    found = evacli(option)
    assert (found.code, found.out, found.err) == (0, f"evacli {package.__version__}\n", "")


@pytest.mark.slow
def test_shell_completion() -> None:
    # Typer asks the processes above for the shell, which is make's at times.
    script = python("-m", "evacli", "--show-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert script.code == 0
    assert "complete -o default -F _evacli_completion evacli" in script.out
    words = {"_EVACLI_COMPLETE": "complete_bash", "COMP_CWORD": "1", "COMP_WORDS": "evacli tr"}
    assert python("-m", "evacli", **words).out.split() == ["train"]


def settings(digits: Path) -> tuple[object, ...]:
    return "--data", digits, "--model", TINY, "--batch-size", 32, "--lr", 0.05, "--precision", "float32", "--epochs", 1


@pytest.mark.tensorflow
def test_nothing_of_tensorflows_log_reaches_the_user(tmp_path: Path, digits: Path) -> None:
    found = python("-m", "evacli", "train", "--run", tmp_path / "run", *settings(digits))
    assert found.code == 0
    # Of what takes long on a slow machine there is a line more.
    lines = [line for line in found.err.splitlines() if not line.endswith(" ...")]
    assert len(lines) == 4, found.err  # what is trained, the learning rate, the header and the epoch
    assert [line.split()[0] for line in lines] == ["tiny_networks.py:tiny", "Peak", "epoch", "1/1"]
    assert found.out.startswith("Top accuracy ")


def test_json_is_one_document_and_nothing_else(evacli: Evacli, trained: tuple[Path, Ended]) -> None:
    path, found = trained
    assert (found.code, found.err) == (0, "")
    document = json.loads(found.out)
    assert document == json.loads((path / "summary.json").read_text())
    assert document["state"] == "finished"
    again = evacli("train", "--run", path, "--json")
    assert json.loads(again.out) == document


def test_quiet_prints_the_result_alone_of_the_default_run_that_all_commands_share(
    evacli: Evacli, tmp_path: Path, digits: Path
) -> None:
    found = evacli("train", "--quiet", *settings(digits), cwd=tmp_path)
    assert (found.code, found.err) == (0, "")
    assert found.out.startswith("Top accuracy ")
    assert (tmp_path / "runs" / "default" / "best.keras").exists()
    assert evacli("train", cwd=tmp_path).code == 0


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "an epoch chosen by test accuracy"),
        ({"chosen_by": "validation"}, "chosen by validation accuracy"),
        ({"epochs_tested": 1, "top_epoch": 3}, "in epoch 3 of 3, the only one that was tested."),
        ({"epochs_tested": 1, "top_epoch": 3, "chosen_by": "validation"}, "chosen by validation accuracy"),
    ],
)
def test_result_says_which_images_chose_the_epoch(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], words: str
) -> None:
    from tiny_run import make_summary

    monkeypatch.setattr(
        "evacli.training.train.train", lambda *_, **__: make_summary(**({"epochs_tested": 3} | changes))
    )
    assert words in CliRunner().invoke(app, ["train", "--epochs", "3"]).stdout


BAD = [
    (["--epochs", "0"], "--epochs 0: must be at least 1."),
    (["--epochs", "abc"], "--epochs"),
    (["--epochs"], "--epochs"),
    (["--lr", "-1"], "--lr -1.0: must be more than 0."),
    (["--lr", "nan"], "--lr nan"),
    (["--lr", "fast"], "'fast' is neither a number nor auto"),
    (["--model", "nope"], "--model nope: there is no such network. Choose one of eva, resnet9, resnet20"),
    (["--model", "nope.py:build"], "--model nope.py:build: there is no such file"),
    (["--schedule", "zigzag"], "one-cycle"),
    (["--dataset", "imagenet"], "cifar10"),
    (["--batch-size", "1e3"], "--batch-size"),
    (["--checkpoint-minutes", "-1"], "--checkpoint-minutes"),
    (["--momentum", "1"], "--momentum"),
    (["--val-split", "0.999"], "--val-split"),
    (["--cutout", "99"], "--cutout 99 is too much for images of 8 pixels"),
    (["--unknown"], "--unknown"),
    (["--epoch\x1b[31m"], "\\x1b[31m"),
    (["stray"], "stray"),
    (["--run", "some.png/below"], "some.png"),
    (["--run", "x" * 300], "too long"),
]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file that is no directory."""
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "some.png").touch()
    return folder


@pytest.mark.parametrize(("options", "words"), BAD, ids=[" ".join(options)[:30] for options, _ in BAD])
def test_bad_input_is_one_line_and_writes_nothing(
    evacli: Evacli, pictures: Path, digits: Path, options: list[str], words: str
) -> None:
    before = sorted(pictures.rglob("*"))
    found = evacli("train", *settings(digits), "--run", "run", *options, cwd=pictures)
    assert found.code in (1, 2)
    assert found.out == ""
    assert found.err.startswith("error: ")
    assert found.err.count("\n") == 1
    assert words in found.err
    assert sorted(pictures.rglob("*")) == before


@pytest.mark.parametrize("command", ["report", "gradcam"])
def test_commands_that_come_later_name_the_one_that_comes_first(evacli: Evacli, tmp_path: Path, command: str) -> None:
    found = evacli(command, "--run", "new", cwd=tmp_path)
    assert found.code == 1
    assert found.err == "error: new has no trained model. Run first: evacli train --run new\n"
    assert list(tmp_path.iterdir()) == []


def test_debugging_shows_the_traceback() -> None:
    found = python("-m", "evacli", "report", "--run", "new", EVACLI_DEBUG="1")
    assert found.code == 1
    assert found.err.startswith("Traceback")
    assert "RunError: new has no trained model." in found.err


@pytest.mark.parametrize(
    ("raised", "words"),
    [
        (
            ZeroDivisionError("division\nby zero"),
            "evacli met something unforeseen: ZeroDivisionError: division. ",
        ),
        (MemoryError(), "There is not enough memory for this. Close other programs"),
        (type("ResourceExhaustedError", (Exception,), {})("OOM"), "There is not enough memory for this."),
    ],
)
def test_what_nobody_foresaw_is_one_line(monkeypatch: pytest.MonkeyPatch, raised: Exception, words: str) -> None:
    def fail(*_: Any) -> None:
        raise raised

    monkeypatch.setattr("evacli.commands.runs.runs", fail)
    found = CliRunner().invoke(app, ["runs"])
    assert (found.exit_code, found.stdout, found.stderr.count("\n")) == (1, "", 1)
    assert found.stderr.startswith(f"error: {words}")
    assert CliRunner().invoke(app, ["runs"], env={"EVACLI_DEBUG": "1"}).exception is raised


def test_misspelt_command_is_guessed(evacli: Evacli) -> None:
    found = evacli("trian")
    assert found.code == 2
    assert found.err == "error: No such command 'trian'. Did you mean 'train'? See: evacli --help\n"
