"""A stdout or stderr that is full, closed or given up by its reader, in processes of their own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny_run import make_rows

from evacli import console
from evacli.training.display import TrainingDisplay

FULL = Path("/dev/full")
COMMANDS = (["runs"], ["recipes", "--json"], ["train", "--help"], [])


def shell(line: str, folder: Path) -> tuple[int, str]:
    """The exit code of `line`, in which evacli is $0 with the arguments $@, and what it wrote to stderr."""
    found = subprocess.run(["bash", "-c", line], cwd=folder, capture_output=True, text=True)
    return found.returncode, found.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "runs").mkdir()
    return tmp_path


@pytest.fixture
def gone() -> Iterator[int]:
    """The descriptor of a pipe that nobody reads any more."""
    read, write = os.pipe()
    os.close(read)
    yield write
    os.close(write)


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_results_that_cannot_be_written_are_one_line(arguments: list[str], folder: Path, gone: int) -> None:
    command = [sys.executable, "-m", "evacli", *arguments]
    found = subprocess.run(command, cwd=folder, stdout=gone, stderr=subprocess.PIPE, text=True)
    assert (found.returncode, found.stderr) == (1, "error: The results cannot be written to stdout: Broken pipe.\n")


@pytest.mark.skipif(not FULL.exists(), reason="Linux has a disk that is always full")
@pytest.mark.parametrize("where", [f">{FULL}", ">&-", ">&- <&-"])
def test_a_full_disk_and_a_closed_stdout_are_told(where: str, folder: Path) -> None:
    code, said = shell(f"{sys.executable} -m evacli runs {where}", folder)
    assert code == 1
    assert said.startswith("error: The results cannot be written to stdout: ")
    assert said.count("\n") == 1


@pytest.mark.parametrize("where", [f"2>{FULL}", "2>&-", f"2>{FULL} >&-", "<&- >&- 2>&-"])
def test_an_error_that_cannot_be_told_keeps_its_exit_code(where: str, folder: Path) -> None:
    assert shell(f"{sys.executable} -m evacli report --run new {where}", folder) == (1, "")


def test_what_is_opened_next_does_not_get_the_number_of_a_closed_stream(folder: Path) -> None:
    program = "from evacli import streams; streams.occupy(); print(open('file', 'w').fileno(), file=open('found', 'w'))"
    assert shell(f'{sys.executable} -c "{program}" <&- >&- 2>&-', folder) == (0, "")
    assert int((folder / "found").read_text()) > 2


def test_a_display_that_cannot_be_written_is_given_up_not_the_training(
    monkeypatch: pytest.MonkeyPatch, gone: int
) -> None:
    with os.fdopen(os.dup(gone), "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        console.stderr.cache_clear()
        with TrainingDisplay(epochs=1, steps=1, first_step=0, validated=False) as display:
            display.epoch_begins(0, 0, steps=1, batch_size=8)
            display.batch_ends(0.1, 1.0, 0.5)
            display.epoch_ends(make_rows(1))
        console.fail("nobody reads this")
        stream.write("nor what others write")
    console.stderr.cache_clear()


@pytest.mark.long
def test_a_training_whose_stderr_is_gone_reaches_its_end(digits: Path, folder: Path, gone: int) -> None:
    network = Path(__file__).with_name("tiny_networks.py")
    options = ["--data", str(digits), "--model", f"{network}:linear", "--epochs", "1", "--lr", "0.05", "--run", "run"]
    command = [sys.executable, "-m", "evacli", "train", *options, "--precision", "float32"]
    found = subprocess.run(command, cwd=folder, stderr=gone, stdout=subprocess.PIPE, text=True)
    assert found.returncode == 0
    assert found.stdout.startswith("Top accuracy ")
    assert len((folder / "run" / "history.csv").read_text().splitlines()) == 2
