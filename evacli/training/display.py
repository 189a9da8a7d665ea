"""What a person sees of a training: bars for the epochs and the batches, and a line for each finished epoch.

All of them fit in the 80 columns of a terminal.
"""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType

from rich.progress import MofNCompleteColumn, ProgressColumn, Task, TextColumn
from rich.table import Column
from rich.text import Text

from evacli import console
from evacli.formats import duration
from evacli.run import history
from evacli.run.history import Row


def _line(epoch: str, lr: str, train: tuple[str, str], test: tuple[str, str], best: str, seconds: str) -> str:
    # Of 80 columns, also with the 11 characters of "10000/10000".
    return f"{epoch} {lr:>8}  {train[0]:>10} {train[1]:>8}  {test[0]:>9} {test[1]:>8}  {best:>8} {seconds:>8}"


def _loss(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}" if value < 1e4 else f"{value:.3e}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2%}"


class _TimeLeft(ProgressColumn):
    """Time left from this session's own pace; the epochs of earlier sessions took no time in this one."""

    def render(self, task: Task) -> Text:
        done = task.completed - task.fields["resumed_at"]
        if not done or not task.total or task.elapsed is None:
            return Text("-:-- left", style="cyan")
        return Text(f"{duration(task.elapsed / done * (task.total - task.completed))} left", style="cyan")


class TrainingDisplay:
    """Shows a training on stderr; without a terminal only the line per epoch."""

    def __init__(self, epochs: int, steps: int, first_step: int, validated: bool) -> None:
        """Of `steps` batches in all, of which earlier sessions did `first_step`.

        `validated` says that validation images choose the best epoch.
        """
        losses = ("train loss", "accuracy"), ("test loss", "accuracy")
        self._width = max(5, len(f"{epochs}/{epochs}"))
        self._header = _line(
            f"{'epoch':>{self._width}}", "peak lr", *losses, "best val" if validated else "best", "time"
        )
        self.epochs, self._batch_size, self._images = epochs, 0, 0
        self._peak = 0.0
        self._progress = console.bars(
            TextColumn("{task.description}", markup=False),
            console.bar(),
            MofNCompleteColumn(table_column=Column(no_wrap=True)),
            _TimeLeft(table_column=Column(no_wrap=True)),
            TextColumn("{task.fields[figures]}", markup=False),
        )
        self._first_step = ExitStack()
        self._started = time.monotonic()
        # In steps, so that the time left moves within an epoch too.
        self._all = self._progress.add_task(
            "training", total=steps, completed=first_step, figures="", resumed_at=first_step
        )
        self._epoch = self._progress.add_task("epoch", total=None, figures="", resumed_at=0)
        self._test = self._progress.add_task("testing", total=None, figures="", resumed_at=0, visible=False)

    def __enter__(self) -> "TrainingDisplay":
        console.note(self._header, style="bold")
        self._progress.start()
        self._first_step.enter_context(console.told_late("Preparing the first step"))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._first_step.close()
        self._progress.stop()

    def epoch_begins(self, epoch: int, first_batch: int, steps: int, batch_size: int) -> None:
        """Start the bar of `epoch`, counted from 0: `steps` batches, of which `first_batch` are done."""
        self._batch_size, self._peak = batch_size, 0.0
        # All fields anew: a reset forgets those that it is not given.
        self._progress.reset(
            self._epoch,
            description=f"epoch {epoch + 1}/{self.epochs}",
            total=steps,
            completed=first_batch,
            resumed_at=first_batch,
            figures="" if self._images else "preparing the first step",  # which TensorFlow takes its time for
        )

    def batch_ends(self, lr: float, loss: float, accuracy: float, count: int = 1) -> None:
        """Move the bars on by a batch, or by `count` of them."""
        self._first_step.close()
        self._images += count * self._batch_size
        self._peak = max(self._peak, lr)
        rate = self._images / (time.monotonic() - self._started)
        self._progress.update(self._all, advance=count, figures=f"{rate:,.0f} images/s  lr {lr:.3g}")
        self._progress.update(self._epoch, advance=count, figures=f"loss {loss:.3f}  accuracy {accuracy:.1%}")

    def tested(self, done: int, total: int) -> None:
        """Show how many images of a split have been tested."""
        if not done:
            self._progress.reset(self._test, total=total, figures="", resumed_at=0)
        self._progress.update(self._test, completed=done, visible=True)

    def epoch_ends(self, rows: Sequence[Row]) -> None:
        """Print the line of the last of `rows`."""
        self._progress.update(self._test, visible=False)
        row, best = rows[-1], history.best(rows)
        line = _line(
            f"{f'{row.epoch}/{self.epochs}':>{self._width}}",
            # The rate of the last step may be next to nothing; without a step in this session it is all that is known.
            f"{self._peak or row.lr:.3g}",
            (_loss(row.train_loss), _share(row.train_accuracy)),
            (_loss(row.test_loss), _share(row.test_accuracy)),
            _share(best.deciding_accuracy if best else None),
            duration(row.seconds),
        )
        console.note(line, style="green" if best is row else "")
