import io

import pytest
from rich.console import Console

from evacli import console
from evacli.display import TrainingDisplay, duration
from evacli.history import Row


def row(epoch: int, accuracy: float) -> Row:
    return Row(
        epoch=epoch, lr=0.05, train_loss=1.5, train_accuracy=0.4, test_loss=1.2, test_accuracy=accuracy, seconds=75.0
    )


@pytest.fixture
def terminal(monkeypatch):
    screen = Console(file=io.StringIO(), force_terminal=True, width=120, markup=False, highlight=False)
    monkeypatch.setattr(console, "stderr", lambda: screen)
    return screen.file


def train_two_epochs(first_step: int = 0) -> None:
    display = TrainingDisplay(epochs=2, steps_per_epoch=10, batch_size=128, first_step=first_step)
    with display:
        rows = []
        for epoch in range(first_step // 10, 2):
            first = first_step % 10 if epoch == first_step // 10 else 0
            display.epoch_begins(epoch, first)
            for batch in range(first, 10):
                display.batch_ends(epoch * 10 + batch + 1, lr=0.05, loss=1.5, accuracy=0.4)
            display._progress.refresh()
            rows.append(row(epoch + 1, 0.5 + epoch / 10))
            display.epoch_ends(rows)


@pytest.mark.parametrize("first_step", [0, 3, 10, 14])
def test_terminal_shows_bars_rates_and_a_line_per_epoch(terminal, first_step):
    train_two_epochs(first_step)
    shown = terminal.getvalue()
    assert "epoch 2/2" in shown
    assert "images/s" in shown
    assert "left" in shown
    assert "loss 1.500  accuracy 40.0%" in shown
    assert "60.00%" in shown


def test_without_a_terminal_there_are_only_plain_lines(capsys):
    train_two_epochs()
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert len(lines) == 3
    assert "\x1b" not in captured.err
    assert lines[0].split() == ["epoch", "lr", "train", "loss", "accuracy", "test", "loss", "accuracy", "best", "time"]
    assert lines[2].split() == ["2/2", "0.05", "1.5000", "40.00%", "1.2000", "60.00%", "60.00%", "1:15"]


@pytest.mark.parametrize(("seconds", "shown"), [(0, "0:00"), (59.6, "1:00"), (3599.4, "59:59"), (3600, "1:00:00")])
def test_durations(seconds, shown):
    assert duration(seconds) == shown
