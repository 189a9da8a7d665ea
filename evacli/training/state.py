"""What a training has come to: what its checkpoint holds, and the files that tell people of it."""

import time
from typing import Any

import msgspec
from numpy.typing import NDArray

from evacli.devices import PROCESSOR
from evacli.errors import Diverged
from evacli.paths import model_name
from evacli.run import checkpoint, history, summary
from evacli.run.checkpoint import Progress
from evacli.run.directory import RunDir, write_atomically, write_text_atomically
from evacli.run.history import Row
from evacli.run.summary import State, Summary
from evacli.training.learner import Learner

# Of the time of a training on a card, what its files may take: an epoch there can be shorter than the writing of them.
SHARE_OF_FILES = 0.05


class TrainingState:
    """A training between two steps.

    Attributes:
        run: where it is kept.
        learner: what learns.
        progress: how far it is.
        best_weights: of the plain network in its best epoch; none before there is one.
        saved_at: when it was last saved, on the clock of `time.monotonic`.
        best_is_late: whether the file of the best network is of an earlier epoch than its best one.
    """

    def __init__(self, run: RunDir, learner: Learner, progress: Progress) -> None:
        self.run, self.learner = run, learner
        # The learner's own: it differs from the checkpoint's in what may, such as where the data lies now.
        config = msgspec.structs.replace(learner.config, epochs=max(learner.config.epochs, len(progress.rows)))
        self.progress = msgspec.structs.replace(progress, config=config)
        self.best_weights: list[NDArray[Any]] = []
        self.saved_at = self._began = time.monotonic()
        self._writing, self.best_is_late = 0.0, False

    @property
    def rows(self) -> tuple[Row, ...]:
        """The finished epochs."""
        return self.progress.rows

    @property
    def step(self) -> int:
        """Finished steps since the training began."""
        return self.learner.batching.steps_before(len(self.rows)) + self.progress.batch

    def advance(self, **changes: Any) -> None:
        """Move the progress on."""
        self.progress = msgspec.structs.replace(self.progress, **changes)

    @property
    def due(self) -> bool:
        """Whether it is time to write the files of the finished epochs: on a processor after each."""
        so_far = time.monotonic() - self._began
        return self.learner.engine.device.endswith(PROCESSOR) or self._writing <= SHARE_OF_FILES * so_far

    def write(self) -> None:
        """Write the checkpoint, the best network if it is a new one, and what tells people of the training."""
        began = time.monotonic()
        self.save()
        if self.best_is_late:
            self._write_late_best()
        if self.rows:
            self.write_results()
        self._writing += time.monotonic() - began

    def save(self) -> None:
        """Replace the checkpoint, unless the network is no longer sound.

        Raises:
            Diverged: in that case; the last good checkpoint stays.
        """
        self.require_sound()
        arrays = self.learner.engine.state()
        if not self.progress.batch:
            # Within an epoch, its row would without them cover the batches since then only.
            arrays["metrics"] = []
        checkpoint.save(self.run, self.progress, arrays | {"best": self.best_weights})
        self.saved_at = time.monotonic()

    def require_sound(self) -> None:
        """Raise Diverged if a weight, or what the network says about images, is not finite."""
        if not self.learner.engine.is_sound():
            raise self.diverged()

    def diverged(self) -> Diverged:
        """Mark the run as failed, and return the error to raise."""
        summary.write(self.run, self.summarise("failed"))
        kept = "; the last good checkpoint is kept" if self.run.has_checkpoint else ""
        return Diverged(
            f"The loss is not finite in epoch {len(self.rows) + 1}{kept}.",
            f"Use a lower learning rate: evacli train{self.run.option} --overwrite --lr {self.progress.lr / 10:.2g}",
        )

    def write_results(self) -> None:
        """Write `history.csv` and `summary.json`."""
        write_text_atomically(self.run.history, history.to_csv(self.rows))
        done = len(self.rows) >= self.progress.config.epochs
        summary.write(self.run, self.summarise("finished" if done else "unfinished"))

    def write_best(self) -> None:
        """Write `best.keras`; the plain network has the best weights just then."""
        write_atomically(self.run.best_model, self.learner.network.save)
        self.best_is_late = False

    def _write_late_best(self) -> None:
        network = self.learner.network
        latest = network.get_weights()
        network.set_weights(self.best_weights)
        self.write_best()
        network.set_weights(latest)

    def summarise(self, state: State) -> Summary:
        """Return what the training has come to."""
        data, rows, progress = self.learner.data, self.rows, self.progress
        seconds = sum(row.seconds for row in rows)
        best = history.best(rows)
        return Summary(
            state=state,
            epochs_done=len(rows),
            epochs_tested=sum(row.test_accuracy is not None for row in rows),
            top_accuracy=(best.deciding_accuracy if best else None) or 0.0,
            top_epoch=best.epoch if best else 0,
            test_accuracy=(best.test_accuracy if best else None) or 0.0,
            balanced_accuracy=progress.balanced_accuracy,
            macro_f1=progress.macro_f1,
            chosen_by="test" if data.validation is None else "validation",
            tta=progress.config.uses_tta,
            class_names=data.class_names,
            train_images=len(data.train),
            validation_images=0 if data.validation is None else len(data.validation),
            test_images=len(data.test),
            lr=progress.lr,
            lr_source=progress.lr_source,
            model=model_name(progress.config.model),
            parameters=self.learner.network.count_params(),
            pretrained=progress.pretrained,
            data_fingerprint=data.fingerprint,
            seconds=seconds,
            images_per_second=len(data.train) * len(rows) / seconds if seconds else 0.0,
            skipped_steps=self.learner.engine.skipped(),
            versions=progress.versions,
        )
