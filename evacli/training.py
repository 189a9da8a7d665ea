"""Training: from a configuration to the best model, interruptible at any step and resumed exactly."""

import math
import time
from pathlib import Path
from signal import Signals
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from evacli import checkpoint, config, console, data, evaluation, history, summary
from evacli.backend import keras
from evacli.checkpoint import Arrays, Progress
from evacli.config import Config
from evacli.data.types import Split
from evacli.display import TrainingDisplay
from evacli.errors import Diverged, Interrupted
from evacli.evaluation import Predictions
from evacli.history import Row
from evacli.learner import Learner, assemble
from evacli.locking import exclusive, refuse_if_busy
from evacli.lr_range_test import fits, suggestion
from evacli.resuming import check_nothing_lost, check_same_training, finished
from evacli.rundir import DEFAULT_RUN, RunDir, remove_leftovers, write_atomically, write_text_atomically
from evacli.schedules import factor_at
from evacli.signals import StopRequest
from evacli.summary import Summary
from evacli.versions import versions

DEFAULT_LR = 0.05


def train(
    run: str | Path = DEFAULT_RUN, *, overwrite: bool = False, checkpoint_minutes: float = 5.0, **settings: Any
) -> Summary:
    """Trains the run's network, or goes on where an interrupted training of it stopped.

    Args:
        run: the run directory.
        overwrite: forget an earlier training of this run and start anew.
        checkpoint_minutes: longest time between two checkpoints inside an epoch.
        settings: fields of `evacli.config.Config` that override what the run has stored.

    Returns:
        What the training came to; also in the run's `summary.json`.

    Raises:
        Interrupted: after Ctrl-C or SIGTERM, once everything is saved.
        Diverged: if a loss is not finite; the last good checkpoint stays.
        EvacliError: if a setting, the data, the network or the run directory cannot be used.
    """
    directory = RunDir(run)
    refuse_if_busy(directory)
    stored = None if overwrite else checkpoint.load(directory)
    if stored and not directory.config.exists():
        config.write(directory, stored[0].config)
    settled = config.inherit(directory, settings, trained=stored is not None)
    done = finished(directory, stored[0], settled) if stored else None
    if done:
        console.note(f"{directory.path} already has its {done.epochs_done} epochs; a larger --epochs trains on.")
        return done
    learner = assemble(settled, data.load(settled))
    with exclusive(directory):
        if overwrite:
            _forget(directory)
        return _open(directory, learner, checkpoint_minutes).run_to_end()


def _forget(run: RunDir) -> None:
    for path in _results(run):
        path.unlink(missing_ok=True)


def _results(run: RunDir) -> tuple[Path, ...]:
    return run.checkpoint, run.summary, run.history, run.best_model


def _open(run: RunDir, learner: Learner, checkpoint_minutes: float) -> "_Training":
    """The run's training, at its checkpoint or at its beginning."""
    remove_leftovers(*_results(run))
    # Read under the lock: until then another process may have moved it on.
    stored = checkpoint.load(run)
    if stored is None:
        check_nothing_lost(run)
        return _Training(run, learner, _beginning(run, learner), checkpoint_minutes)
    check_same_training(run, stored[0], learner)
    training = _Training(run, learner, stored[0], checkpoint_minutes)
    training.restore(stored[1])
    return training


def _beginning(run: RunDir, learner: Learner) -> Progress:
    lr, source = learning_rate(run, learner.config)
    return Progress(
        config=learner.config,
        lr=lr,
        lr_source=source,
        class_names=learner.data.class_names,
        data_fingerprint=learner.data.fingerprint,
        versions=versions(),
    )


def learning_rate(run: RunDir, settled: Config) -> tuple[float, str]:
    """The peak learning rate of a training and where it comes from: `--lr`, lr-find, or the default."""
    if settled.lr != "auto":
        return settled.lr, "--lr"
    found = suggestion(run)
    if found is None or found.lr is None:
        return DEFAULT_LR, "evacli's default; evacli lr-find looks for a better one"
    differing = fits(found, settled)
    if differing:
        return DEFAULT_LR, f"evacli's default; lr-find was run with another {', '.join(map(config.option, differing))}"
    return found.lr, f"lr-find, {found.rule}"


class _Training:
    """One training of a run: the state that a checkpoint holds, and the loop that moves it on."""

    def __init__(self, run: RunDir, learner: Learner, progress: Progress, checkpoint_minutes: float) -> None:
        self.run, self.learner, self.twin = run, learner, learner.twin
        self.config = msgspec.structs.replace(progress.config, epochs=max(learner.config.epochs, len(progress.rows)))
        self.progress = msgspec.structs.replace(progress, config=self.config)
        self.best_weights: list[NDArray[Any]] = []
        self.stop = StopRequest()
        self.saver_interval = checkpoint_minutes * 60
        self._resumed_metrics: list[NDArray[Any]] = []

    @property
    def rows(self) -> tuple[Row, ...]:
        """The finished epochs."""
        return self.progress.rows

    @property
    def step(self) -> int:
        """Finished steps since the training began."""
        return len(self.rows) * self.learner.steps_per_epoch + self.progress.batch

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
        if not self._is_sound(arrays["network"]):
            self.diverged()
        checkpoint.save(self.run, self.progress, arrays | {"best": self.best_weights, "metrics": metrics})

    def _is_sound(self, network: list[NDArray[Any]]) -> bool:
        # The loss of a step tells of the weights before it; so what they have become is tried here.
        if not all(np.isfinite(array).all() for array in network):
            return False
        return bool(np.isfinite(self.twin(self.learner.images[:16], training=False)).all())

    def advance(self, **changes: Any) -> None:
        """Moves the progress on."""
        self.progress = msgspec.structs.replace(self.progress, **changes)

    # -- the loop --------------------------------------------------------------------------------------------------

    def run_to_end(self) -> Summary:
        """Trains until the last epoch and returns the summary."""
        config.write(self.run, self.config)
        self._announce()
        display = TrainingDisplay(self.config.epochs, self.learner.steps_per_epoch, self.config.batch_size, self.step)
        if self.rows:
            self._write_results()
        with self.stop, display:
            for epoch in range(len(self.rows), self.config.epochs):
                self._train_epoch(epoch, display)
                self._judge_epoch(epoch)
                display.epoch_ends(self.rows)
        return self._summary("finished")

    def _announce(self) -> None:
        c, d = self.config, self.learner.data
        console.note(
            f"{c.model} ({self.learner.model.count_params():,} parameters) on {len(d.train):,} images of "
            f"{d.num_classes} classes: batch size {c.batch_size}, {c.schedule}, {c.precision}, "
            f"cutout {c.cutout}, crop {c.crop}, flip {'on' if c.flip else 'off'}."
        )
        console.note(f"Peak learning rate {self.progress.lr:.4g} ({self.progress.lr_source}).", style="")

    def _train_epoch(self, epoch: int, display: TrainingDisplay) -> None:
        if self.progress.batch < self.learner.steps_per_epoch:
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
        """Measures the epoch's network, keeps it if it is the best, and saves everything."""
        began = time.monotonic()
        trained = self.twin.get_metrics_result()
        self.learner.publish()
        test_loss, test_accuracy = self._measure(self.learner.data.test)
        validation = self.learner.data.validation
        val_loss, val_accuracy = self._measure(validation) if validation is not None else (None, None)
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
        )
        best_epoch = history.best([*self.rows, row]).epoch
        if best_epoch == row.epoch:
            self.best_weights = self.learner.model.get_weights()
        self.advance(rows=(*self.rows, row), batch=0, seconds=0.0, best_epoch=best_epoch)
        self.save()
        self._write_results()

    def _measure(self, split: Split) -> tuple[float, float]:
        """Mean cross-entropy and accuracy of the plain model: the figures of the very file that is saved."""
        predictions = Predictions(evaluation.predict(self.learner.model, split.images, "testing"), split.labels)
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
        summary.write(self.run, self._summary("failed"))
        raise Diverged(
            f"The loss is not finite in epoch {len(self.rows) + 1}; the last good checkpoint is kept.",
            f"Use a lower learning rate: evacli train{self.run.option} --overwrite --lr {self.progress.lr / 10:.2g}",
        )

    def interrupted(self, signum: int) -> None:
        """Saves everything and leaves.

        Raises:
            Interrupted: always.
        """
        self.save()
        if self.rows:
            self._write_results()
        raise Interrupted(
            signum,
            f"{Signals(signum).name} after {self.step:,} step{'s' * (self.step != 1)}; everything is saved.",
            f"Go on with: evacli train{self.run.option}",
        )

    def _write_results(self) -> None:
        """Renders the files that people and later commands read from what the checkpoint holds."""
        write_text_atomically(self.run.history, history.to_csv(self.rows))
        if self.progress.best_epoch:
            self.learner.model.set_weights(self.best_weights)
            write_atomically(self.run.best_model, self.learner.model.save)
        done = len(self.rows) >= self.config.epochs
        summary.write(self.run, self._summary("finished" if done else "unfinished"))

    def _summary(self, state: Literal["finished", "unfinished", "failed"]) -> Summary:
        data, rows = self.learner.data, self.rows
        seconds = sum(row.seconds for row in rows)
        best = history.best(rows) if rows else None
        return Summary(
            state=state,
            epochs_done=len(rows),
            top_accuracy=best.deciding_accuracy if best else 0.0,
            top_epoch=best.epoch if best else 0,
            test_accuracy=best.test_accuracy if best else 0.0,
            chosen_by="test" if data.validation is None else "validation",
            class_names=data.class_names,
            train_images=len(data.train),
            validation_images=0 if data.validation is None else len(data.validation),
            test_images=len(data.test),
            lr=self.progress.lr,
            lr_source=self.progress.lr_source,
            model=self.config.model,
            parameters=self.learner.model.count_params(),
            data_fingerprint=data.fingerprint,
            seconds=seconds,
            images_per_second=len(data.train) * len(rows) / seconds if seconds else 0.0,
            versions=self.progress.versions,
        )


class _Steps(keras.callbacks.Callback):
    """Sets the learning rate before each step; after it looks at the loss, the clock and the signals."""

    def __init__(self, training: _Training, display: TrainingDisplay) -> None:
        super().__init__()
        self.training, self.display = training, display
        self._previous = self._saved = time.monotonic()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Keras has just reset the metrics."""
        self.training.restore_metrics()
        self.display.epoch_begins(epoch, self.training.progress.batch)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Follows the schedule."""
        t = self.training
        total = t.config.epochs * t.learner.steps_per_epoch
        factor = factor_at(t.config.schedule, t.step / max(total - 1, 1), [row.deciding_loss for row in t.rows])
        t.twin.optimizer.learning_rate = t.progress.lr * factor

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Everything that may stop or save a training happens here, between two steps."""
        t, now = self.training, time.monotonic()
        t.advance(batch=t.progress.batch + 1, seconds=t.progress.seconds + now - self._previous)
        self._previous = now
        if not math.isfinite(logs["loss"]):
            t.diverged()
        lr = float(t.twin.optimizer.learning_rate)
        self.display.batch_ends(t.step, lr, float(logs["cross_entropy"]), float(logs["accuracy"]))
        if t.stop.signum is not None:
            t.interrupted(t.stop.signum)
        if now - self._saved > t.saver_interval:
            t.save()
            self._saved = now
