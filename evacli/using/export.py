"""Exporting the best network of a run to a format that needs no evacli, and making sure that it says the same there."""

import os
import time
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from evacli import console, extras
from evacli.catalogue.exports import EXPORTS, ExportSpec, Quantize
from evacli.errors import ConfigError, ModelError
from evacli.formats import counted, joined
from evacli.messages import meant
from evacli.notebook import Displayed
from evacli.run import documents, trained
from evacli.run.directory import DEFAULT_RUN, RunDir, remove_leftovers, write_folder_atomically
from evacli.version import __version__

# NumPy and Keras are imported once the run is known to be a trained one.
if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from evacli.evaluation import EvaluatedRun
    from evacli.using.exporting import Answers, Format

COMPARED = 2000  # test images at most
EXAMPLES = 256  # training images at most, for a converter that has to see some
# Shares of images whose class may be another one.
TOLERANCE, TOLERANCE_QUANTISED = 0.001, 0.01


class ExportResult(Displayed, frozen=True, kw_only=True):
    """An exported network, beside the one in Keras that it was made of.

    Attributes:
        run: the run directory.
        format: what it was exported to.
        quantize: the smaller numbers that it has; None for its own.
        folder: where it lies, with `model.json`, which tells of it.
        file: the file to open.
        images: how many test images both were shown.
        largest_difference: of two probabilities of one class for one image.
        other_class: for how many of the images the two have different classes.
        tolerance: the share of images for which they may.
        accuracy: of the exported network on these images, a share of 1.
        keras_accuracy: of the network in Keras on them.
        images_per_second: how fast the exported network is here.
        keras_images_per_second: how fast Keras is.
        bytes: of the exported network.
        keras_bytes: of `best.keras`.
        run_accuracy: of the run on all test images, where it evaluates each with its mirror image; else None.
        plain_accuracy: of the network by itself on all test images, which is what can be exported; likewise.
    """

    run: str
    format: str
    quantize: Quantize | None
    folder: str
    file: str
    images: int
    largest_difference: float
    other_class: int
    tolerance: float
    accuracy: float
    keras_accuracy: float
    images_per_second: float
    keras_images_per_second: float
    bytes: int
    keras_bytes: int
    run_accuracy: float | None
    plain_accuracy: float | None


def export(
    run: str | os.PathLike[str] = DEFAULT_RUN,
    format: str = "onnx",
    *,
    quantize: Quantize | None = None,
    tolerance: float | None = None,
    data: str | os.PathLike[str] | None = None,
) -> ExportResult:
    """Write the best network of a run into `export/` in the run directory, in a format of another runtime.

    It takes what the network takes, pixels from 0 to 255. It is opened again in that runtime and has to say of test
    images what the network says in Keras; if it does not, it is not kept.

    Args:
        run: the run directory, with a trained model.
        format: one of "onnx", "litert", "savedmodel" and "openvino".
        quantize: the smaller numbers that it shall have, "float16" or "int8", where the format can.
        tolerance: the share of the test images whose class may be another one; by default 0.001, quantised 0.01.
        data: where the data of the run lies now, if it has moved; the run remembers.

    Raises:
        ConfigError: if there is no such format, or a package that it needs is not installed.
        ModelError: if the network cannot be converted, or says something else afterwards.
        RunError: if the run has no model, or it cannot be used.
        DataError: if the data cannot be read.

    Example:
        >>> export("runs/first", "onnx").file
        'runs/first/export/onnx/model.onnx'
    """
    spec = _checked(format, quantize)
    if tolerance is None:
        tolerance = TOLERANCE_QUANTISED if quantize else TOLERANCE
    if not 0 <= tolerance <= 1:
        raise ConfigError(f"--tolerance {tolerance}: must be a share, from 0 to 1.")
    stored = trained.read(RunDir(Path(run)))
    from evacli import evaluation

    opened = evaluation.open_run(stored, data)
    if opened.difference:
        console.warn(opened.difference)
    task = _Export(opened, format, spec, quantize, tolerance)
    remove_leftovers(task.folder, shared=True)
    write_folder_atomically(task.folder, task.write)
    return task.result


def _checked(format: str, quantize: str | None) -> ExportSpec:
    """Return what is known of a format, if it can be written here and in such numbers."""
    if format not in EXPORTS:
        raise ConfigError(
            f"--format {format}: there is no such format.",
            f"{meant(format, EXPORTS)}Choose {joined([*EXPORTS], 'or')}.",
        )
    spec = EXPORTS[format]
    if quantize and quantize not in spec.quantize:
        able = [f"--format {name}" for name, other in EXPORTS.items() if quantize in other.quantize]
        raise ConfigError(
            f"--quantize {quantize}: evacli does not write {format} so.",
            f"Give {joined(able, 'or')}, or leave --quantize out.",
        )
    extras.require(f"--format {format}", spec.needs, format)
    return spec


class _Said(NamedTuple):
    """What a network said about (N,) images: (N, C) probabilities; and how many images it took in a second."""

    probabilities: "NDArray[np.float32]"
    rate: float


class _Export:
    """One network on its way into one format."""

    def __init__(
        self, opened: "EvaluatedRun", format: str, spec: ExportSpec, quantize: Quantize | None, tolerance: float
    ) -> None:
        self._opened, self._format, self._spec, self._quantize = opened, format, spec, quantize
        self._tolerance, self._called = tolerance, f"{format}{f' in {quantize}' if quantize else ''}"
        self.folder = opened.run.exported(f"{format}-{quantize}" if quantize else format)
        self.result: ExportResult

    def write(self, folder: Path) -> None:
        """Convert the network into `folder`, and compare.

        Raises:
            ModelError: if either fails.
        """
        about = self._about()
        file = folder / self._spec.file
        answers = self._convert(file, {name: dumps(value) for name, value in about.items()})
        self.result = self._compare(answers, sum(one.stat().st_size for one in folder.rglob("*") if one.is_file()))
        compared = msgspec.to_builtins(self.result)
        figures = "images", "accuracy", "largest_difference", "other_class", "plain_accuracy"
        documents.write(self._opened.run.exported_json(folder), about | {name: compared[name] for name in figures})

    def _about(self) -> dict[str, Any]:
        """Say what has to be known to use the network."""
        height, width, channels = self._opened.network.input_shape[1:]
        packages = "tensorflow", "keras", *self._spec.needs
        return {
            "class_names": self._opened.trained.class_names,
            "input": {
                "shape": [1 if self._format == "litert" else None, height, width, channels],
                "type": "float32",
                "layout": "image, row, column, channel",
            },
            "preprocessing": {
                "channels": "RGB",
                "values": "0 to 255 as a picture's file has them; the network normalises them itself",
                "resize": f"to {width}x{height} pixels, bilinear, averaging where it shrinks; it may be squeezed",
            },
            "model": self._opened.trained.model,
            "epoch": self._opened.trained.top_epoch,
            "format": self._format,
            "quantize": self._quantize,
            "versions": {"evacli": __version__, **{name: version(name) for name in packages}},
        }

    def _convert(self, file: Path, about: dict[str, str]) -> "Answers":
        from evacli.backend import silenced
        from evacli.models.saved import first_sentence
        from evacli.using.exporting import Order

        network, train = self._opened.network, self._opened.data.train.images
        examples = train.read(_spread(len(train), EXAMPLES)) if self._quantize == "int8" else train.read([0])
        try:
            with console.status(f"Converting the network to {self._called}"), silenced():
                way: Format = import_module(self._spec.module)
                way.convert(Order(network, self._quantize, examples.astype("float32"), about), file)
                answers = way.load(file)
                answers(examples[:1].astype("float32"))  # some speak when they begin
        except OSError:  # a full disk is no fault of the network
            raise
        except Exception as e:  # the converters raise whatever they run into
            raise ModelError(f"{network.name} cannot be converted to {self._called}: {first_sentence(e)}") from e
        return answers

    def _compare(self, answers: "Answers", size: int) -> ExportResult:
        """Let both networks say what the same test images show.

        Raises:
            ModelError: if they do not say the same.
        """
        import numpy as np

        from evacli.evaluation import Predictions
        from evacli.models import saved

        opened = self._opened
        shown = opened.data.test.take(_spread(len(opened.data.test), COMPARED))
        with saved.using(opened.network), console.progress_bars() as bars:
            task = bars.add_task("comparing", total=2 * len(shown))
            before, after = (
                self._ask(one, shown.images, lambda count: bars.advance(task, count))
                for one in (opened.network.predict_on_batch, answers)
            )
        if after.probabilities.shape != before.probabilities.shape or not np.isfinite(after.probabilities).all():
            raise ModelError(f"{opened.network.name} in {self._called} gives no probabilities; it is not kept.")
        keras, exported = (Predictions(said.probabilities, shown.labels) for said in (before, after))
        self._refuse_others(int(np.sum(keras.predicted != exported.predicted)), len(shown))
        return ExportResult(
            run=str(opened.run.path),
            format=self._format,
            quantize=self._quantize,
            folder=str(self.folder),
            file=str(self.folder / self._spec.file),
            images=len(shown),
            largest_difference=float(np.max(np.abs(before.probabilities - after.probabilities), initial=0)),
            other_class=int(np.sum(keras.predicted != exported.predicted)),
            tolerance=self._tolerance,
            accuracy=exported.accuracy,
            keras_accuracy=keras.accuracy,
            images_per_second=after.rate,
            keras_images_per_second=before.rate,
            bytes=size,
            keras_bytes=opened.run.best_model.stat().st_size,
            run_accuracy=opened.test.accuracy if opened.config.uses_tta else None,
            plain_accuracy=opened.plain_test.accuracy if opened.config.uses_tta else None,
        )

    def _refuse_others(self, other: int, images: int) -> None:
        if other > self._tolerance * images:
            raise ModelError(
                f"In {self._called} the network has another class for {other:,} of "
                f"{counted(images, 'test image')}, more than --tolerance {self._tolerance:g}; it is not kept.",
                f"If that will do: add --tolerance {_rounded_up(other / images)}",
            )

    def _ask(self, answers: "Answers", images: Any, watch: Callable[[int], None]) -> _Said:
        """Show images to a network, as many at a time as evacli does."""
        import numpy as np

        from evacli.engine.single import batch_size

        size = min(len(images), batch_size(images.shape))
        batch = np.zeros((size, *images.shape), np.float32)  # of one size, for which the runtimes are ready
        answers(batch)
        found, seconds = [], 0.0
        for block in images.blocks(size):
            batch[: len(block)] = block
            began = time.perf_counter()
            found.append(np.array(answers(batch))[: len(block)])
            seconds += time.perf_counter() - began
            watch(len(block))
        return _Said(np.concatenate(found), size * len(found) / seconds)


def _spread(number: int, most: int) -> "NDArray[np.int64]":
    """Return the indices of at most so many images from all over a split: out of folders they come class by class."""
    import numpy as np

    return np.linspace(0, number - 1, min(number, most), dtype=np.int64)


def _rounded_up(share: float) -> str:
    return f"{-(-share * 1000 // 1) / 1000:g}"
