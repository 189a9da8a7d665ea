"""The training loop: epochs of Keras' `fit`, and what happens between two steps and two epochs."""

import math
import time
from signal import Signals
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from evacli import console, evaluation
from evacli.backend import keras
from evacli.data.types import Split
from evacli.errors import Diverged, Interrupted
from evacli.evaluation import Predictions
from evacli.run import checkpoint, config_file, history, summary
from evacli.run.checkpoint import Arrays, Progress
from evacli.run.directory import RunDir
from evacli.run.history import Row
from evacli.run.summary import Summary
from evacli.training.display import TrainingDisplay
from evacli.training.learner import Learner
from evacli.training.pace import Pace
from evacli.training.results import summarise, write_results
from evacli.training.signals import StopRequest


class Training:
    """One training of a run: the state that a checkpoint holds, and the loop that moves it on."""

    def __init__(self, run: RunDir, learner: Learner, progress: Progress, checkpoint_minutes: float) -> None:
        self.run, self.learner, self.twin = run, learner, learner.twin
        # The learner's own: it differs from the checkpoint's in what may, such as where the data lies now.
        self.config = msgspec.structs.replace(learner.config, epochs=max(learner.config.epochs, len(progress.rows)))
        self.progress = msgspec.structs.replace(progress, config=self.config)
        self.best_weights: list[NDArray[Any]] = []
        self.stop = StopRequest()
        self.saver_interval = checkpoint_minutes * 60
        self._resumed_metrics: list[NDArray[Any]] = []
        self.pace = Pace(self.twin.optimizer, learner.batching, progress.lr, progress.base_lr)

    @property
    def rows(self) -> tuple[Row, ...]:
        """The finished epochs."""
        return self.progress.rows

    @property
    def step(self) -> int:
        """Finished steps since the training began."""
        return self.learner.batching.steps_before(len(self.rows)) + self.progress.batch

    # -- checkpoint ------------------------------------------------------------------------------------------------

    def restore(self, arrays: Arrays) -> None:
        """Takes over a checkpoint's arrays."""
        for group, variables in self._variables().items():
            checkpoint.restore(variables, arrays.get(group, []), f"{group} variables", self.run)
        self.best_weights = arrays.get("best", [])
        self._resumed_metrics = arrays.get("metrics", [])
        if self.progress.best_epoch:
            checkpoint.restore(self.learner.model.weights, self.best_weights, "best weights", self.run)
        epoch, batch = len(self.rows) + 1, self.progress.batch
        if epoch <= self.config.epochs:
            console.note(f"Resuming in epoch {epoch} of {self.config.epochs}, after {batch} of its batches.")

    def _variables(self) -> dict[str, list[Any]]:
        return {"network": self.twin.variables, "optimizer": self.twin.optimizer.variables}

    def save(self) -> None:
        """Replaces the checkpoint."""
        arrays = {group: checkpoint.values(variables) for group, variables in self._variables().items()}
        # The running means of the epoch under way; without them its row would cover the batches since then only.
        metrics = checkpoint.values(self.twin.metrics_variables) if self.progress.batch else []
        self._require_sound(arrays["network"])
        checkpoint.save(self.run, self.progress, arrays | {"best": self.best_weights, "metrics": metrics})

    def _require_sound(self, network: list[NDArray[Any]]) -> None:
        # The loss of a step tells of the weights before it; so what they have become is tried here.
        sound = all(np.isfinite(array).all() for array in network)
        if not sound or not np.isfinite(self.twin(self.learner.images[:16], training=False)).all():
            self.diverged()

    def advance(self, **changes: Any) -> None:
        """Moves the progress on."""
        self.progress = msgspec.structs.replace(self.progress, **changes)

    # -- the loop --------------------------------------------------------------------------------------------------

    def run_to_end(self) -> Summary:
        """Trains until the last epoch and returns the summary."""
        config_file.write(self.run, self.config)
        self._announce()
        steps = self.learner.batching.steps_before(self.config.epochs)
        validated = self.learner.data.validation is not None
        display = TrainingDisplay(self.config.epochs, steps, self.step, validated)
        if self.rows:
            write_results(self.run, self.learner, self.progress, self.best_weights)
        else:
            self.run.summary.unlink(missing_ok=True)  # of a training that failed before
        with self.stop, display:
            for epoch in range(len(self.rows), self.config.epochs):
                self._train_epoch(epoch, display)
                self._judge_epoch(epoch)
                display.epoch_ends(self.rows)
        return summarise(self.learner, self.progress, "finished")

    def _announce(self) -> None:
        c, d = self.config, self.learner.data
        console.note(
            f"{c.model} ({self.learner.model.count_params():,} parameters) on {len(d.train):,} images of "
            f"{d.num_classes} classes: batch size {c.batch_size}, {c.optimizer}, {c.schedule}, {c.precision}, "
            f"cutout {c.cutout}, crop {c.crop}, flip {'on' if c.flip else 'off'}."
        )
        low = f", base rate {self.progress.base_lr:.4g}" if self.progress.base_lr else ""
        console.note(f"Peak learning rate {self.progress.lr:.4g} ({self.progress.lr_source}){low}.", style="")

    def _train_epoch(self, epoch: int, display: TrainingDisplay) -> None:
        if self.progress.batch < self.learner.batching.steps(epoch):
            self.twin.fit(
                self.learner.batches(epoch, self.progress.batch),
                initial_epoch=epoch,
                epochs=epoch + 1,
                verbose=0,
                shuffle=False,
                callbacks=[_Steps(self, display)],
            )
        elif self._resumed_metrics:
            self.restore_metrics()

    def restore_metrics(self) -> None:
        """Gives the metrics back the running means that an interrupted epoch had."""
        if self._resumed_metrics:
            checkpoint.restore(self.twin.metrics_variables, self._resumed_metrics, "running means", self.run)
            self._resumed_metrics = []

    def _judge_epoch(self, epoch: int) -> None:
        """Measures the epoch's network if it is to be tested, keeps it if it is the best, and saves everything."""
        began = time.monotonic()
        self._require_sound(checkpoint.values(self.twin.variables))  # before the epoch counts as done
        trained = self.twin.get_metrics_result()
        (test_loss, test_accuracy), (val_loss, val_accuracy) = self._test(epoch)
        row = Row(
            epoch=epoch + 1,
            lr=float(self.twin.optimizer.learning_rate),
            train_loss=float(trained["cross_entropy"]),
            train_accuracy=float(trained["accuracy"]),
            test_loss=test_loss,
            test_accuracy=test_accuracy,
            seconds=self.progress.seconds + time.monotonic() - began,
            val_loss=val_loss,
            val_accuracy=val_accuracy,
            batch_size=self.learner.batching.size(epoch) if self.config.grow_batch else None,
        )
        best = history.best([*self.rows, row])
        if best is row:
            self.best_weights = self.learner.model.get_weights()
        self.advance(rows=(*self.rows, row), batch=0, seconds=0.0, best_epoch=best.epoch if best else 0)
        self.save()
        write_results(self.run, self.learner, self.progress, self.best_weights)

    def _test(self, epoch: int) -> list[tuple[float | None, float | None]]:
        """Loss and accuracy on the test and the validation images, where there are such and `--test-every` says so."""
        number, data = epoch + 1, self.learner.data
        if number % self.config.test_every and number < self.config.epochs:
            return [(None, None)] * 2
        self.learner.publish()
        return [(None, None) if split is None else self._measure(split) for split in (data.test, data.validation)]

    def _measure(self, split: Split) -> tuple[float, float]:
        """Mean cross-entropy and accuracy of the model that is saved, up to float32 rounding."""
        # The epoch's steps are done. One that is interrupted here is measured anew when the training goes on.
        probabilities = evaluation.predict(
            self.learner.judge(), split.images, "testing", self.heed_signals, mirror=self.config.uses_tta
        )
        predictions = Predictions(probabilities, split.labels)
        loss = float(np.mean(predictions.losses))
        if not math.isfinite(loss) or not np.isfinite(predictions.probabilities).all():
            self.diverged()
        return loss, predictions.accuracy

    # -- ends ------------------------------------------------------------------------------------------------------

    def diverged(self) -> None:
        """Marks the run as failed; the last good checkpoint stays.

        Raises:
            Diverged: always.
        """
        summary.write(self.run, summarise(self.learner, self.progress, "failed"))
        kept = "; the last good checkpoint is kept" if self.run.checkpoint.exists() else ""
        raise Diverged(
            f"The loss is not finite in epoch {len(self.rows) + 1}{kept}.",
            f"Use a lower learning rate: evacli train{self.run.option} --overwrite --lr {self.progress.lr / 10:.2g}",
        )

    def heed_signals(self) -> None:
        """Saves everything and leaves, if a signal asked for it.

        Raises:
            Interrupted: in that case.
        """
        signum = self.stop.signum
        if signum is None:
            return
        self.save()
        if self.rows:
            write_results(self.run, self.learner, self.progress, self.best_weights)
        raise Interrupted(
            signum,
            f"{_cause(signum)} after {self.step:,} step{'s' * (self.step != 1)}; everything is saved.",
            f"Go on with: evacli train{self.run.option}",
        )


def _cause(signum: int) -> str:
    return "Ctrl-C" if signum == Signals.SIGINT else Signals(signum).name


class _Steps(keras.callbacks.Callback):
    """Sets the learning rate before each step; after it looks at the loss, the clock and the signals."""

    def __init__(self, training: Training, display: TrainingDisplay) -> None:
        super().__init__()
        self.training, self.display = training, display
        self._previous = self._saved = time.monotonic()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Keras has just reset the metrics."""
        self.training.restore_metrics()
        batching = self.training.learner.batching
        self.display.epoch_begins(epoch, self.training.progress.batch, batching.steps(epoch), batching.size(epoch))

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Follows the schedule."""
        self.training.pace.set(self.training.step, self.training.rows)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Everything that may stop or save a training happens here, between two steps."""
        t, now = self.training, time.monotonic()
        t.advance(batch=t.progress.batch + 1, seconds=t.progress.seconds + now - self._previous)
        self._previous = now
        if not math.isfinite(logs["loss"]):
            t.diverged()
        lr = float(t.twin.optimizer.learning_rate)
        self.display.batch_ends(lr, float(logs["cross_entropy"]), float(logs["accuracy"]))
        t.heed_signals()
        if now - self._saved > t.saver_interval:
            t.save()
            self._saved = now
