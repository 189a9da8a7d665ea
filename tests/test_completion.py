"""What a shell offers after Tab: asked as the shells ask, through their environment variables."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_run import HOSTILE, make_summary

from evacli import recipes
from evacli.catalogue.datasets import DATASETS
from evacli.catalogue.networks import NETWORKS
from evacli.run import summary
from evacli.run.directory import RunDir

HEAVY = ("tensorflow", "keras", "numpy", "matplotlib", "cv2", "sklearn")
# Runs the command line; its exit code is 3 if that has imported what takes time.
SPY = f"""
import sys
from evacli.__main__ import main
try:
    main()
except SystemExit as end:
    sys.exit(3 if any(name in sys.modules for name in {HEAVY}) else end.code)
"""


def asked(cwd: Path | None = None, **environment: str) -> str:
    command = [sys.executable, "-c", SPY]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=cwd, env=os.environ | environment)
    assert done.stderr == ""
    return done.stdout


def bash(*words: str, cwd: Path | None = None) -> list[str]:
    """What is offered for the last word."""
    line = {"COMP_WORDS": "\n".join(["evacli", *words]), "COMP_CWORD": str(len(words))}
    return asked(cwd, _EVACLI_COMPLETE="complete_bash", **line).splitlines()


CASES = [
    (("train", "--optimizer", "a"), {"adagrad", "adadelta", "adam", "adamw"}),
    (("lr-find", "--schedule", "c"), {"constant", "cosine", "cyclical"}),
    (("train", "--cycle", "tri"), {"triangular", "triangular2"}),
    (("train", "--precision", ""), {"auto", "float32", "bfloat16", "float16"}),
    (("train", "--crop-border", "r"), {"reflect"}),
    (("train", "--dataset", ""), set(DATASETS)),
    (("train", "--model", ""), set(NETWORKS)),
    (("train", "--dropout", ""), {"own", "none"}),
    (("train", "--recipe", ""), set(recipes.names())),
    (("gradcam", "--select", ""), {"worst", "random", "first"}),
    (("gradcam", "--target", ""), {"pred", "true", "both"}),
    (("lr-find", "--mode", "e"), {"exp"}),
    (("train", "--label"), {"--label-smoothing"}),
    (("sweep", "--prune", ""), {"median", "hyperband", "none"}),
]


@pytest.mark.parametrize(("words", "offered"), CASES, ids=[" ".join(words) for words, _ in CASES])
def test_choices_are_offered(words: tuple[str, ...], offered: set[str]) -> None:
    found = bash(*words)
    assert len(found) == len(set(found))
    assert set(found) == offered


@pytest.mark.parametrize("words", [("train", "--model", "./mine"), ("train", "--recipe", "m"), ("train", "--run", "")])
def test_files_are_left_to_the_shell(words: tuple[str, ...]) -> None:
    assert "".join(bash(*words)) == ""


def test_other_shells_are_told_what_each_network_is() -> None:
    line = {"_TYPER_COMPLETE_ARGS": "evacli train --model eva"}
    assert asked(_EVACLI_COMPLETE="complete_zsh", **line).strip() == (
        f"""_arguments '*: :(("eva":"{NETWORKS["eva"].about}"))'"""
    )
    fish = asked(_EVACLI_COMPLETE="complete_fish", _TYPER_COMPLETE_FISH_ACTION="get-args", **line)
    assert fish.split("\t") == ["eva", f"{NETWORKS['eva'].about}\n"]


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    run = RunDir(tmp_path / "my run")
    run.create()
    return run


def test_classes_are_those_of_the_run(run: RunDir, tmp_path: Path) -> None:
    summary.write(run, make_summary(class_names=("cat", "Ankle boot", "T-shirt/top", "猫")))
    assert bash("gradcam", "--run", f"'{run.path}'", "--class", "") == ["cat", "Ankle boot", "T-shirt/top", "猫"]
    assert bash("gradcam", "--run", "'my run'", "--class", "Ank", cwd=tmp_path) == ["Ankle boot"]
    (tmp_path / "runs").mkdir()
    run.path.rename(tmp_path / "runs" / "default")
    assert "cat" in bash("gradcam", "--class", "", cwd=tmp_path)


def test_a_run_without_a_summary_offers_nothing(run: RunDir) -> None:
    assert "".join(bash("gradcam", "--run", f"'{run.path}'", "--class", "")) == ""
    run.summary.write_text("{")
    assert "".join(bash("gradcam", "--run", f"'{run.path}'", "--class", "")) == ""


def test_what_a_shell_would_evaluate_is_not_offered(run: RunDir) -> None:
    evil = ("$(touch hit)", "`touch hit`", "\\$(touch hit)", "'; touch hit; '", "*", "a\nb", "cat:dog", "--x=$IFS")
    summary.write(run, make_summary(class_names=(*HOSTILE, *evil, "dog")))
    line = f"evacli gradcam --run '{run.path}' --class "
    assert bash("gradcam", "--run", f"'{run.path}'", "--class", "") == ["x" * 300, "dog"]
    offered = asked(_EVACLI_COMPLETE="complete_zsh", _TYPER_COMPLETE_ARGS=line)
    assert not set("$`\\;*<>") & set(offered.replace("'*: :", "").replace("\\n", ""))


def test_bash_itself_completes(run: RunDir, tmp_path: Path) -> None:
    """The script that `--install-completion` installs, in a real shell, which calls the real command."""
    summary.write(run, make_summary(class_names=("cat", "Ankle boot", "$(touch hit)")))
    command = tmp_path / "evacli"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m evacli "$@"\n')
    command.chmod(0o755)
    script = f"""
eval "$({command} --show-completion bash)"
COMP_WORDS=(evacli gradcam --run "'my run'" --class ''); COMP_CWORD=5
_evacli_completion {command}
printf '%s|' "${{COMPREPLY[@]}}"
"""
    root = Path(__file__).parent.parent
    environment = os.environ | {"PYTHONPATH": str(root), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "--norc", "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path, env=environment
    )
    assert (done.stdout, done.stderr) == ("cat|Ankle boot|", "")
    assert not (tmp_path / "hit").exists()
