"""The training loop: one epoch after the other, each trained, tested and saved."""

import math
import time
from collections.abc import Callable
from contextlib import ExitStack

import numpy as np

from evacli import console, evaluation, metrics
from evacli.data.types import Split
from evacli.devices import PROCESSOR
from evacli.engine.base import EpochFigures, Hook
from evacli.evaluation import Predictions
from evacli.formats import counted
from evacli.paths import model_name
from evacli.run import config_file, history, split_file
from evacli.run.history import Row
from evacli.run.summary import Summary
from evacli.training.display import TrainingDisplay
from evacli.training.hooks import (
    CountSteps,
    HeedSignals,
    SaveInTime,
    ShowProgress,
    StopAtDivergence,
    StopWhen,
    StopWhenAsked,
)
from evacli.training.rate_control import RateControl
from evacli.training.signals import StopRequest
from evacli.training.state import TrainingState


class Loop:
    """Moves the state of a training on to its last epoch."""

    def __init__(
        self,
        state: TrainingState,
        checkpoint_minutes: float,
        stop_when: StopWhen | None = None,
        follow: Callable[[Row], None] = lambda row: None,
    ) -> None:
        """Save at least every `checkpoint_minutes`; stop when `stop_when`, if there is one, says so.

        It is asked after each step and epoch.

        `follow` is told of each epoch once it is saved.
        """
        self.follow = follow
        self.state, self.learner, self.config = state, state.learner, state.progress.config
        self.rates = RateControl(state.learner.batching, state.progress.lr, state.progress.base_lr)
        self.request, self.minutes = StopRequest(), checkpoint_minutes
        self.signals = HeedSignals(state, self.request)
        self.asking = StopWhenAsked(state, stop_when)

    def run(self) -> Summary:
        """Train until the last epoch and return the summary."""
        state = self.state
        config_file.write(state.run, self.config)
        split_file.write(state.run, state.learner.data.drawn)
        if len(state.rows) >= self.config.epochs:
            state.save()  # what is all that is left to do: to note where its data and its network lie now
        self._announce()
        if not state.rows:
            state.run.summary.unlink(missing_ok=True)  # of a training that failed before
        steps = self.learner.batching.steps_before(self.config.epochs)
        display = TrainingDisplay(self.config.epochs, steps, state.step, self.learner.data.validation is not None)
        with ExitStack() as entered:
            entered.enter_context(self.request)
            entered.enter_context(display)
            for epoch in range(len(state.rows), self.config.epochs):
                figures = self._train(epoch, display)
                self._finish(epoch, figures, display)
                display.epoch_ends(state.rows)
                self.follow(state.rows[-1])
                if epoch + 1 < self.config.epochs:
                    self.asking.ask()
        self._tell_of_skipped()
        return state.summarise("finished")

    def _announce(self) -> None:
        c, d, progress = self.config, self.learner.data, self.state.progress
        parameters = counted(self.learner.network.count_params(), "parameter")
        images, classes = counted(len(d.train), "image"), counted(d.num_classes, "class")
        console.note(
            f"{model_name(c.model)} ({parameters}) on {images} of {classes}: batch size {c.batch_size}, "
            f"{c.optimizer}, {c.schedule}, {c.precision}, cutout {c.cutout}, crop {c.crop}, flip {self._flip()}."
        )
        if (device := self.learner.engine.device) != PROCESSOR:
            console.note(f"It computes on {device}.")
        if origin := self.learner.origin:
            views = f", {counted(c.views, 'view')} of each image" if c.views else ""
            console.note(f"From the weights {origin.weights} ({origin.licence}); frozen: {c.freeze_until}{views}.")
        low = f", base rate {progress.base_lr:.4g}" if progress.base_lr else ""
        console.note(f"Peak learning rate {progress.lr:.4g} ({progress.lr_source}){low}.", style="")

    def _tell_of_skipped(self) -> None:
        if skipped := self.learner.engine.skipped():
            steps = counted(skipped, "step")
            console.note(f"{steps} of {self.state.step:,} left out: gradients overflowed in {self.config.precision}.")

    def _flip(self) -> str:
        # Nobody has said what images of the user's own show, unless by a setting.
        unknown = self.config.data is not None and not self.state.step
        return ("on" + " (--no-flip for digits or text)" * unknown) if self.config.flip else "off"

    def _train(self, epoch: int, display: TrainingDisplay) -> EpochFigures:
        """Take the steps of the epoch that are left."""
        state, batching = self.state, self.learner.batching
        first, steps = state.progress.batch, batching.steps(epoch)
        before = batching.steps_before(epoch)
        controls = self.rates.controls(range(before + first, before + steps), state.rows)
        display.epoch_begins(epoch, first, steps, batching.size(epoch))
        hooks: list[Hook] = [
            CountSteps(state),
            StopAtDivergence(state),
            ShowProgress(display),
            self.asking,
            self.signals,
            SaveInTime(state, self.minutes),
        ]
        return self.learner.engine.run(batching.deal(epoch, controls, first), hooks)

    def _finish(self, epoch: int, trained: EpochFigures, display: TrainingDisplay) -> None:
        """Test the epoch's network if it is to be tested, keep it if it is the best, and save everything."""
        began, state = time.monotonic(), self.state
        state.require_sound()  # before the epoch counts as done
        tested, validated = self._test(epoch, display)
        row = Row(
            epoch=epoch + 1,
            lr=self._last_rate(epoch),
            train_loss=trained.cross_entropy,
            train_accuracy=trained.accuracy,
            test_loss=None if tested is None else tested.loss,
            test_accuracy=None if tested is None else tested.accuracy,
            seconds=state.progress.seconds + time.monotonic() - began,
            val_loss=None if validated is None else validated.loss,
            val_accuracy=None if validated is None else validated.accuracy,
            batch_size=self.learner.batching.size(epoch) if self.config.grow_batch else None,
        )
        best = history.best([*state.rows, row])
        if best is row and tested:
            state.best_weights = self.learner.network.get_weights()
            scores = metrics.score_classes(tested.labels, tested.predicted, self.learner.data.class_names)
            state.advance(balanced_accuracy=metrics.balanced_accuracy(scores), macro_f1=metrics.macro_f1(scores))
        state.advance(rows=(*state.rows, row), batch=0, seconds=0.0, best_epoch=best.epoch if best else 0)
        state.best_is_late |= best is row
        if state.due or len(state.rows) >= self.config.epochs:
            state.write()

    def _last_rate(self, epoch: int) -> float:
        last = self.learner.batching.steps_before(epoch + 1) - 1
        (controls,) = self.rates.controls(range(last, last + 1), self.state.rows)
        return float(np.float32(controls.lr))  # as the optimizer keeps it

    def _test(self, epoch: int, display: TrainingDisplay) -> tuple[Predictions | None, Predictions | None]:
        """Predict the test and the validation images, where `--test-every` says so."""
        number, data = epoch + 1, self.learner.data
        if number % self.config.test_every and number < self.config.epochs:
            return None, None
        self.learner.engine.sync(self.learner.network)
        tested = self._predict(data.test, display)
        return tested, None if data.validation is None else self._predict(data.validation, display)

    def _predict(self, split: Split, display: TrainingDisplay) -> Predictions:
        """Return what the network that is saved says about images, up to float32 rounding."""
        # The epoch's steps are done. One that is interrupted here is measured anew when the training goes on.
        learner = self.learner

        def watch(done: int) -> None:
            self.signals.heed()
            display.tested(done, len(split))

        probabilities = evaluation.predict(
            learner.engine, learner.network, split.images, tta=self.config.uses_tta, watch=watch
        )
        predictions = Predictions(probabilities, split.labels)
        if not math.isfinite(predictions.loss) or not np.isfinite(predictions.probabilities).all():
            raise self.state.diverged()
        return predictions
