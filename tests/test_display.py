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
def terminal(columns: int = 120) -> Iterator[Terminal]:
    """Takes the place of stderr."""
    screen = Terminal()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TERM", "xterm")
        patch.setenv("COLUMNS", str(columns))
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


def test_it_says_what_the_first_step_waits_for() -> None:
    with terminal() as screen, TrainingDisplay(2, steps=4, first_step=0, validated=False) as display:
        display.epoch_begins(0, 0, steps=1, batch_size=8)
        display._progress.refresh()
        assert "preparing the first step" in text(screen)
        display.batch_ends(0.1, 1.0, 0.5)
        screen.truncate(0)
        display.epoch_begins(1, 0, steps=1, batch_size=8)
        display._progress.refresh()
    assert "preparing the first step" not in text(screen)


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
    assert lines[0].split() == [
        "epoch",
        "peak",
        "lr",
        "train",
        "loss",
        "accuracy",
        "test",
        "loss",
        "accuracy",
        *best,
        "time",
    ]
    assert lines[3].split() == ["3/3", "0.1", "0.3333", "83.33%", "0.4000", "80.00%", "80.00%", "0:01"]


@pytest.mark.parametrize("validated", [False, True])
@pytest.mark.parametrize("epochs", [1, 100, 1000, 10_000])
@pytest.mark.parametrize(("loss", "accuracy"), [(12345.6, 1.0), (1e12, 0.0), (1.5, 0.5), (float("nan"), 0.1)])
def test_every_line_fits_80_columns_and_stands_under_its_heading(
    capsys: pytest.CaptureFixture[str], validated: bool, epochs: int, loss: float, accuracy: float
) -> None:
    console.stderr.cache_clear()
    wide = {"train_loss": loss, "test_loss": loss, "train_accuracy": accuracy, "test_accuracy": accuracy}
    row = msgspec.structs.replace(make_rows(1, validated)[0], epoch=epochs, lr=1.23e-05, seconds=35_999.0, **wide)
    with TrainingDisplay(epochs, steps=1, first_step=0, validated=validated) as display:
        display.epoch_ends([row])
    header, line = capsys.readouterr().err.splitlines()
    assert len(header) == len(line) <= 80
    assert [
        m.end() for m in re.finditer(r"epoch|peak lr|train loss|accuracy|test loss|best val|best|time", header)
    ] == [m.end() for m in re.finditer(r"\S+", line)]


def test_bars_stay_one_line_each_at_80_columns() -> None:
    with terminal(80) as screen, TrainingDisplay(1000, steps=391_000, first_step=390_000, validated=True) as display:
        display.epoch_begins(999, 0, steps=391, batch_size=128)
        display.batch_ends(1.23e-05, 12.345, 1.0)
        display._progress.refresh()
    drawn = [line for line in text(screen).replace("\r", "\n").splitlines() if line.strip()]
    assert max(map(len, drawn)) <= 80
    assert re.search(r"training .* 390001/391000 .* left [\d,]+ images/s  lr 1\.23e-05 *$", drawn[-2])
    assert re.search(r"epoch 1000/1000 .* 1/391 .* left loss 12\.345  accuracy 100\.0% *$", drawn[-1])


def test_the_rate_of_an_epoch_is_its_highest(capsys: pytest.CaptureFixture[str]) -> None:
    console.stderr.cache_clear()
    first, second = make_rows(2)
    with TrainingDisplay(epochs=2, steps=4, first_step=0, validated=False) as display:
        for number, (row, rates) in enumerate(((first, (0.1, 0.4, 1e-7)), (second, (0.2, 0.3)))):
            display.epoch_begins(number, 0, steps=2, batch_size=8)
            for rate in rates:
                display.batch_ends(rate, 1.0, 0.5)
            display.epoch_ends([row])
    assert [line.split()[1] for line in capsys.readouterr().err.splitlines()[1:]] == ["0.4", "0.3"]
