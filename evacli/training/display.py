"""What a person sees of a training: bars for the epochs and the batches, and a line for each finished epoch."""

import time
from collections.abc import Sequence
from types import TracebackType

from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TextColumn
from rich.text import Text

from evacli import console
from evacli.formats import duration
from evacli.run import history
from evacli.run.history import Row


def _header(best: str) -> str:
    return (
        f"{'epoch':>9}  {'lr':>9}  {'train loss':>10} {'accuracy':>9}  {'test loss':>9} {'accuracy':>9}  "
        f"{best:>8}  {'time':>7}"
    )


def _cell(value: float | None, style: str) -> str:
    return "-" if value is None else f"{value:{style}}"


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
        self._header = _header("best val" if validated else "best")
        self.epochs, self._batch_size, self._images = epochs, 0, 0
        self._progress = console.bars(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            _TimeLeft(),
            TextColumn("{task.fields[figures]}", markup=False),
        )
        self._started = time.monotonic()
        # In steps, so that the time left moves within an epoch too.
        self._all = self._progress.add_task(
            "training", total=steps, completed=first_step, figures="", resumed_at=first_step
        )
        self._epoch = self._progress.add_task("epoch", total=None, figures="", resumed_at=0)

    def __enter__(self) -> "TrainingDisplay":
        console.note(self._header, style="bold")
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._progress.stop()

    def epoch_begins(self, epoch: int, first_batch: int, steps: int, batch_size: int) -> None:
        """Starts the bar of `epoch`, counted from 0: `steps` batches, of which `first_batch` are done."""
        self._batch_size = batch_size
        # All fields anew: a reset forgets those that it is not given.
        self._progress.reset(
            self._epoch,
            description=f"epoch {epoch + 1}/{self.epochs}",
            total=steps,
            completed=first_batch,
            resumed_at=first_batch,
            figures="",
        )

    def batch_ends(self, lr: float, loss: float, accuracy: float) -> None:
        """Moves the bars on by a batch."""
        self._images += self._batch_size
        rate = self._images / (time.monotonic() - self._started)
        self._progress.update(self._all, advance=1, figures=f"{rate:,.0f} images/s  lr {lr:.3g}")
        self._progress.update(self._epoch, advance=1, figures=f"loss {loss:.3f}  accuracy {accuracy:.1%}")

    def epoch_ends(self, rows: Sequence[Row]) -> None:
        """Prints the line of the last of `rows`."""
        row, best = rows[-1], history.best(rows)
        line = (
            f"{f'{row.epoch}/{self.epochs}':>9}  {row.lr:9.3g}  {row.train_loss:10.4f} {row.train_accuracy:9.2%}  "
            f"{_cell(row.test_loss, '.4f'):>9} {_cell(row.test_accuracy, '.2%'):>9}  "
            f"{_cell(best.deciding_accuracy if best else None, '.2%'):>8}  {duration(row.seconds):>7}"
        )
        console.note(line, style="green" if best is row else "")
