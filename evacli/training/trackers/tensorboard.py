"""TensorBoard: event files in a folder of the run directory."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tensorboard.backend.event_processing.event_accumulator import TENSORS, EventAccumulator

from evacli.backend import tf
from evacli.formats import spelled
from evacli.run.directory import RunDir
from evacli.run.history import Row
from evacli.run.summary import Summary
from evacli.training.trackers import figures, outcome

SPLITS = "train", "test", "val"


class TensorBoard:
    """Writes scalars by epoch, the settings as a text, and pictures; see `evacli.training.trackers.Tracker`."""

    def __init__(self, run: RunDir) -> None:
        run.tensorboard.mkdir(exist_ok=True)
        found = EventAccumulator(str(run.tensorboard), size_guidance={TENSORS: 0}).Reload()
        self._known = {(tag, event.step) for tag in found.Tags()["tensors"] for event in found.Tensors(tag)}
        self._epoch = max((step for _, step in self._known), default=0)
        self._writer = tf.summary.create_file_writer(str(run.tensorboard))

    def begin(self, config: Mapping[str, Any]) -> None:
        """Write the settings as a table."""
        lines = ["| setting | value |", "| --- | --- |", *(f"| {k} | {spelled(v)} |" for k, v in config.items())]
        with self._writer.as_default():
            tf.summary.text("settings", "\n".join(lines), step=self._epoch)

    def epoch(self, row: Row) -> None:
        """Write the figures, those of one kind under one heading."""
        self._write({_tag(name): value for name, value in figures(row).items()}, row.epoch)

    def keep(self, files: Sequence[Path]) -> None:
        """Show those files that are pictures."""
        with self._writer.as_default():
            for file in files:
                if file.suffix == ".png":
                    tf.summary.image(file.stem, tf.io.decode_png(file.read_bytes(), channels=3)[None], step=self._epoch)
        self._writer.flush()

    def end(self, summary: Summary) -> None:
        """Write the final figures."""
        self._write({f"final/{name}": value for name, value in outcome(summary).items()}, summary.epochs_done)

    def _write(self, values: Mapping[str, float], epoch: int) -> None:
        self._epoch = epoch
        with self._writer.as_default():
            for tag, value in values.items():
                if (tag, epoch) not in self._known:
                    tf.summary.scalar(tag, value, step=epoch)
                    self._known.add((tag, epoch))
        self._writer.flush()


def _tag(name: str) -> str:
    """Return `loss/test` for `test_loss`: TensorBoard shows together what is called alike before the stroke."""
    split, _, what = name.partition("_")
    return f"{what}/{split}" if split in SPLITS else name
