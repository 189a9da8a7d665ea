import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from evacli_processes import Ended, Evacli
from tiny_data import TINY

import evacli as package

HEAVY = ("tensorflow", "keras", "numpy", "matplotlib", "cv2", "sklearn", "scipy", "PIL", "jinja2", "plotext")
COMMANDS = ("lr-find", "train", "report", "gradcam", "predict", "evaluate", "compare", "runs")

# Runs the command line and tells which of the given modules it has imported.
SPY = f"""
import sys
from evacli.__main__ import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
sys.stderr.write(" ".join(name for name in {HEAVY} if name in sys.modules))
"""


def python(*arguments: object, **environment: str) -> Ended:
    """Runs Python in a process that shares nothing with this one."""
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | environment)
    return Ended(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], *([name, "--help"] for name in COMMANDS)])
def test_help_imports_nothing_that_takes_time(arguments: list[str]) -> None:
    found = python("-c", SPY, *arguments)
    assert (found.code, found.err) == (0, "")
    assert found.out


def test_finished_run_does_not_wait_for_tensorflow(evacli: Evacli, tmp_path: Path, digits: Path) -> None:
    assert evacli("train", "--run", tmp_path / "run", *settings(digits)).code == 0
    found = python("-c", SPY, "train", "--run", tmp_path / "run", "--quiet")
    assert found.out.startswith("Top accuracy ")
    assert found.err == "numpy"


def test_help_lists_the_commands_and_each_has_an_example(evacli: Evacli) -> None:
    overview = evacli("--help").out
    for name in COMMANDS:
        assert name in overview
        assert f"Example: evacli {name}" in evacli(name, "--help").out


def test_help_is_the_same_where_python_leaves_docstrings_out() -> None:
    for arguments in (["--help"], *([name, "--help"] for name in COMMANDS)):
        assert python("-OO", "-m", "evacli", *arguments).out == python("-m", "evacli", *arguments).out


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


def test_shell_completion() -> None:
    script = python("-m", "evacli", "--show-completion", "bash")
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
    lines = found.err.splitlines()
    assert len(lines) == 4, found.err  # what is trained, the learning rate, the header and the epoch
    assert [line.split()[0] for line in lines] == ["tiny_networks.py:tiny", "Peak", "epoch", "1/1"]
    assert found.out.startswith("Top accuracy ")


def test_json_is_one_document_and_nothing_else(evacli: Evacli, tmp_path: Path, digits: Path) -> None:
    found = evacli("train", "--run", tmp_path / "run", "--json", *settings(digits))
    assert (found.code, found.err) == (0, "")
    document = json.loads(found.out)
    assert document == json.loads((tmp_path / "run" / "summary.json").read_text())
    assert document["state"] == "finished"
    again = evacli("train", "--run", tmp_path / "run", "--json")
    assert json.loads(again.out) == document


def test_quiet_prints_the_result_alone(evacli: Evacli, tmp_path: Path, digits: Path) -> None:
    found = evacli("train", "--run", tmp_path / "run", "--quiet", *settings(digits))
    assert (found.code, found.err) == (0, "")
    assert found.out.startswith("Top accuracy ")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--epochs", 2], "an epoch chosen by test accuracy"),
        (["--epochs", 2, "--val-split", 0.2], "chosen by validation accuracy"),
        (["--epochs", 3, "--test-every", 3], "in epoch 3 of 3, the only one that was tested."),
        (["--epochs", 3, "--test-every", 3, "--val-split", 0.2], "chosen by validation accuracy"),
    ],
)
def test_result_says_which_images_chose_the_epoch(
    evacli: Evacli, tmp_path: Path, digits: Path, options: list[object], words: str
) -> None:
    run = "--run", tmp_path / "run"
    assert words in evacli("train", *run, *settings(digits), *options).out
    report = evacli("report", *run).out
    assert words.removeprefix("an epoch ").removeprefix("in epoch 3 of 3, ").rstrip(".") in report


def test_default_run_is_shared_by_all_commands(evacli: Evacli, tmp_path: Path, digits: Path) -> None:
    assert evacli("train", *settings(digits), cwd=tmp_path).code == 0
    assert (tmp_path / "runs" / "default" / "best.keras").exists()
    assert evacli("train", cwd=tmp_path).code == 0


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
        ("ZeroDivisionError('division\\nby zero')", "evacli met something unforeseen: ZeroDivisionError: division. "),
        ("MemoryError()", "There is not enough memory for this. A lower --batch-size"),
        ("type('ResourceExhaustedError', (Exception,), {})('OOM')", "There is not enough memory for this."),
    ],
)
def test_what_nobody_foresaw_is_one_line(raised: str, words: str) -> None:
    code = f"""
from evacli import __main__, cli
def fail(*a, **k):
    raise {raised}
from evacli.run import listing
import evacli.commands.runs
evacli.commands.runs.runs = fail
import sys; sys.argv = ["evacli", "runs"]
__main__.main()
"""
    found = python("-c", code)
    assert (found.code, found.out, found.err.count("\n")) == (1, "", 1)
    assert found.err.startswith(f"error: {words}")
    assert python("-c", code, EVACLI_DEBUG="1").err.startswith("Traceback")


def test_misspelt_command_is_guessed(evacli: Evacli) -> None:
    found = evacli("trian")
    assert found.code == 2
    assert found.err == "error: No such command 'trian'. Did you mean 'train'? See: evacli --help\n"
