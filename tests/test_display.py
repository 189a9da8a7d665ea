import io
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from tiny_data import TINY
from tiny_run import make_rows

from evacli import console
from evacli.training.display import TrainingDisplay
from evacli.training.train import train


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@contextmanager
def terminal() -> Iterator[Terminal]:
    """Takes the place of stderr."""
    screen = Terminal()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TERM", "xterm")
        patch.setenv("COLUMNS", "120")
        patch.setattr(sys, "stderr", screen)
        console.stderr.cache_clear()
        yield screen
    console.stderr.cache_clear()


def text(screen: Terminal) -> str:
    """What was written, without the codes that move the cursor and colour the text."""
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.getvalue())


def test_terminal_shows_bars_rates_and_a_line_an_epoch(digits: Path, tmp_path: Path) -> None:
    with terminal() as screen:
        train(tmp_path, data=digits, model=TINY, batch_size=32, epochs=2, lr=0.05, precision="float32")
    shown = text(screen)
    for words in ("epoch 1/2", "epoch 2/2", "images/s", "lr 0.0", "accuracy", "left", "testing", "14/14"):
        assert words in shown
    assert screen.getvalue().rindex("\x1b[?25h") > screen.getvalue().rindex("\x1b[?25l")  # the cursor is back
    lines = [line for line in shown.splitlines() if re.match(r" +[12]/2 ", line)]
    assert len(lines) == 2


def test_time_left_counts_from_where_this_session_began() -> None:
    with terminal() as screen, TrainingDisplay(10, steps=100, first_step=95, validated=False) as display:
        display.epoch_begins(9, 5, steps=10, batch_size=8)
        assert "-:-- left" in text(screen)
        display.batch_ends(0.1, 1.0, 0.5)
    assert re.search(r"training .* 96/100 0:00 left [\d,]+ images/s  lr 0\.1", text(screen))
    assert re.search(r"epoch 10/10 .* 6/10 +0:00 left loss 1\.000  accuracy 50\.0%", text(screen))


def test_an_epoch_that_was_not_tested_shows_no_figures_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    console.stderr.cache_clear()
    first, second = make_rows(2)
    untested = {"test_loss": None, "test_accuracy": None}
    with TrainingDisplay(epochs=2, steps=4, first_step=0, validated=False) as display:
        display.epoch_ends([msgspec.structs.replace(first, **untested)])
        display.epoch_ends([first, msgspec.structs.replace(second, **untested)])
    nothing, best = (line.split() for line in capsys.readouterr().err.splitlines()[1:])
    assert nothing[4:7] == ["-", "-", "-"]
    assert best[4:7] == ["-", "-", f"{first.test_accuracy:.2%}"]


@pytest.mark.parametrize(("validated", "best"), [(False, ["best"]), (True, ["best", "val"])])
def test_without_a_terminal_only_lines_are_written(
    capsys: pytest.CaptureFixture[str], validated: bool, best: list[str]
) -> None:
    console.stderr.cache_clear()
    rows = make_rows(3)
    with TrainingDisplay(epochs=3, steps=6, first_step=0, validated=validated) as display:
        for i in range(3):
            display.epoch_begins(i, 0, steps=2, batch_size=8)
            display.batch_ends(0.1, 1.0, 0.5)
            display.batch_ends(0.1, 1.0, 0.5)
            display.epoch_ends(rows[: i + 1])
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 4
    assert lines[0].split() == ["epoch", "lr", "train", "loss", "accuracy", "test", "loss", "accuracy", *best, "time"]
    assert lines[3].split() == ["3/3", "0.0333", "0.3333", "83.33%", "0.4000", "80.00%", "80.00%", "0:01"]
