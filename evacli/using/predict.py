"""Predicting what pictures show with the best network of a run, a few at a time, however many there are."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from evacli import console, devices, spreadsheet
from evacli.devices import Device
from evacli.errors import ConfigError, DataError
from evacli.explaining.options import Method
from evacli.messages import listed
from evacli.notebook import Displayed
from evacli.run import trained
from evacli.run.directory import DEFAULT_RUN, RunDir, beside, write_text_atomically
from evacli.run.locking import drawing
from evacli.using.prediction import Prediction

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from evacli.engine import base
    from evacli.using.overlays import Drawing

    Pictures = str | os.PathLike[str] | Iterable[str | os.PathLike[str]] | NDArray[np.uint8]


N = TypeVar("N")
T = TypeVar("T")
_READERS = 4  # threads at most: each may hold a picture of many megapixels
_PART = 8  # pictures that a thread reads before it looks for others: a small one takes no longer than the looking


class Skipped(msgspec.Struct, frozen=True, kw_only=True):
    """A picture that cannot be read, and the reason."""

    picture: str
    reason: str


class PredictResult(Displayed, frozen=True, kw_only=True):
    """What a network says about pictures.

    Attributes:
        run: the run directory.
        class_names: the name of each probability.
        tta: whether each picture was evaluated together with its mirror image, as in the run.
        predictions: in the order of the pictures.
        skipped: the pictures that cannot be read.
        table: `predictions.csv`.
        layer: the layer that shows where the network looked; None if that was not asked for, and so below.
        grid: the picture of the first ones.
        folder: with a picture of each.
    """

    run: str
    class_names: tuple[str, ...]
    tta: bool
    predictions: list[Prediction]
    skipped: list[Skipped]
    table: str
    layer: str | None = None
    grid: str | None = None
    folder: str | None = None

    def top(self, prediction: Prediction, count: int) -> list[tuple[str, float]]:
        """Return the most probable classes of a prediction with their probabilities, most probable first."""
        return _top(prediction.probabilities, self.class_names, count)


def predict(
    run: "str | os.PathLike[str]" = DEFAULT_RUN,
    pictures: "Pictures" = (),
    *,
    out: str | Path | None = None,
    gradcam: bool = False,
    layer: str | None = None,
    method: Method = "gradcam",
    device: Device = "auto",
) -> PredictResult:
    """Predict what pictures show, and write `predictions.csv`.

    Each is brought to the size of the network's images as in training, and is evaluated together
    with its mirror image where the run evaluates so.

    Args:
        run: the run directory, with a trained model.
        pictures: paths of files, folders or patterns; or an array (N, H, W, 3) or (H, W, 3), uint8, RGB.
        out: where the table goes; by default `predictions.csv` in the run directory.
        gradcam: whether to draw, beside the table, where the network looked in each picture.
        layer: the layer whose feature map is used for that; see `evacli.gradcam`.
        method: what makes those maps; see `evacli.gradcam`.
        device: "cpu", "gpu", or "auto": a GPU where TensorFlow can use one.

    Raises:
        RunError: if the run has no model, or it cannot be used.
        ConfigError: if there is no such layer, or none that would do.
        DataError: if there is no such picture, none that can be read, or an array of another kind.

    Example:
        >>> predict("runs/first", ["cat.png"]).predictions[0].predicted
        'cat'
    """
    predictor = Predictor(run, out=out, gradcam=gradcam, layer=layer, method=method, device=device)
    found = list(predictor.each(pictures))
    skipped = [one for one in found if isinstance(one, Skipped)]
    if len(skipped) == len(found):
        reasons = listed([f"{one.picture}: {one.reason}" for one in skipped])
        raise DataError("None of the pictures can be read.", f"Name others than {reasons}.")
    drawn = predictor.drawing is not None
    result = PredictResult(
        run=str(predictor.stored.directory.path),
        class_names=predictor.class_names,
        tta=predictor.stored.config.uses_tta,
        predictions=[one for one in found if isinstance(one, Prediction)],
        skipped=skipped,
        table=str(predictor.table),
        layer=predictor.drawing.layer if predictor.drawing else None,
        grid=str(predictor.overlays.grid) if drawn else None,
        folder=str(predictor.overlays.folder) if drawn else None,
    )
    with predictor.holding():
        write_text_atomically(predictor.table, to_csv(result))
    return result


class Predictor:
    """A run's best network, ready to predict."""

    def __init__(
        self,
        run: "str | os.PathLike[str]",
        *,
        out: str | Path | None = None,
        gradcam: bool = False,
        layer: str | None = None,
        method: Method = "gradcam",
        device: Device = "auto",
    ) -> None:
        """Load the network; see `predict` for the rest."""
        devices.want(device)
        for option, value, own in ("--layer", layer, None), ("--method", method, "gradcam"):
            if value != own and not gradcam:
                raise ConfigError(f"{option} {value} is for --gradcam.", "Add that, or leave it out.")
        self.stored = trained.read(RunDir(Path(run)))
        with console.status("Loading the network"):
            from evacli import engine, evaluation
        self.network = evaluation.load_best(self.stored.directory)
        self._engine = engine.create()
        self.class_names = self.stored.summary.class_names
        self.table = self.stored.directory.predictions if out is None else Path(out)
        self.overlays = beside(self.table)
        self.drawing = self._drawing(layer, method) if gradcam else None

    def _drawing(self, layer: str | None, method: Method) -> "Drawing":
        from evacli.using.overlays import Drawing

        return Drawing(self.network, layer, method, tta=self.stored.config.uses_tta)

    def holding(self) -> AbstractContextManager[None]:
        """Hold what is written into the run, if that is where the table goes."""
        run = self.stored.directory
        return drawing(run) if self.table == run.predictions else nullcontext()

    def each(self, pictures: "Pictures") -> Iterator[Prediction | Skipped]:
        """Yield what the network says about each picture as soon as it is known; only a few are in memory at a time."""
        from evacli.engine.single import batch_size

        names, total, read = self._reader(pictures)
        size = min(total, batch_size(self.network.input_shape[1:]))
        predictor = self._engine.predictor(self.network, size)
        with self.holding() if self.drawing else nullcontext(), console.progress_bars() as bars:
            task = bars.add_task("predicting", total=total)
            for some in _ahead(names, read, size):
                said = self._said(predictor, [(name, pixels) for name, pixels in some if not isinstance(pixels, str)])
                for name, pixels in some:
                    yield Skipped(picture=name, reason=pixels) if isinstance(pixels, str) else next(said)
                    bars.advance(task)
            if self.drawing:
                self.drawing.finish(self.overlays)

    def _said(
        self, predictor: "base.Predictor", some: "Sequence[tuple[str, NDArray[np.uint8]]]"
    ) -> Iterator[Prediction]:
        """Predict a few pictures, and draw them if that was asked for."""
        import numpy as np

        from evacli import evaluation
        from evacli.models import saved

        if not some:
            return
        images = np.stack([pixels for _, pixels in some])
        with saved.using(self.network):
            views = evaluation.views_of(tta=self.stored.config.uses_tta)
            found = evaluation.mean_of_views(np.stack([predictor(view(images)) for view in views]))
        evaluation.require_numbers(self.stored.directory, found)
        said = [self._prediction(name, row) for (name, _), row in zip(some, found.tolist(), strict=True)]
        if not self.drawing:
            yield from said
            return
        files = self.drawing.draw(self.overlays, said, images, found.argmax(axis=1).tolist())
        for one, file in zip(said, files, strict=True):
            yield msgspec.structs.replace(one, overlay=str(file))

    def _prediction(self, name: str, probabilities: list[float]) -> Prediction:
        ((predicted, probability),) = _top(probabilities, self.class_names, 1)
        return Prediction(
            picture=name, predicted=predicted, probability=probability, probabilities=tuple(probabilities)
        )

    def _reader(self, pictures: "Pictures") -> "tuple[Iterator[Any], int, Callable[[Any], tuple[str, Any]]]":
        """Return which pictures to read, how many, and how: a name, and pixels of the network's size or why not."""
        import numpy as np

        from evacli.data import pictures as files
        from evacli.data.files import File
        from evacli.data.hostile import reason
        from evacli.using.pictures import named

        height, width, _ = self.network.input_shape[1:]
        size, fit = (width, height), self.stored.config.resize
        if isinstance(pictures, np.ndarray):
            array = _checked(pictures)
            return iter(range(len(array))), len(array), lambda i: (str(i), files.resized(array[i], size, fit))

        def read(path: Path) -> tuple[str, Any]:
            try:
                return str(path), files.pixels(File.at(path), size, fit)
            except Exception as e:  # Pillow on hostile bytes raises whatever its code runs into
                return str(path), reason(e)

        given = [pictures] if isinstance(pictures, str | os.PathLike) else list(pictures)
        paths = list(named(given))
        if not paths:
            raise DataError("There are no pictures to predict.", "Name files, folders or a pattern.")
        return iter(paths), len(paths), read


def _ahead(names: Iterator[N], read: Callable[[N], T], count: int) -> Iterator[list[T]]:
    """Read so many at a time, in all threads; the next ones are being read while these are used."""

    def each(part: Sequence[N]) -> list[T]:
        return [read(one) for one in part]

    with ThreadPoolExecutor(min(_READERS, os.cpu_count() or 1)) as threads:

        def begin() -> list[Future[list[T]]]:
            some = list(islice(names, count))
            return [threads.submit(each, some[i : i + _PART]) for i in range(0, len(some), _PART)]

        try:
            reading = begin()
            while reading:
                found = [one for part in reading for one in part.result()]
                reading = begin()
                yield found
        finally:  # or Ctrl-C would have to wait for the rest of them
            threads.shutdown(cancel_futures=True)


def _checked(array: "NDArray[Any]") -> "NDArray[np.uint8]":
    """Return (N, H, W, 3) from one picture or several; refuse other kinds."""
    several = array[None] if array.ndim == 3 else array
    if several.ndim != 4 or several.shape[-1] != 3 or several.dtype.name != "uint8":
        raise DataError(
            f"The array is {array.dtype} of shape {array.shape}, expected uint8 RGB of shape (N, H, W, 3).",
            "Give pixels as a picture's file has them.",
        )
    return several


def _top(probabilities: Sequence[float], class_names: Sequence[str], count: int) -> list[tuple[str, float]]:
    order = sorted(range(len(probabilities)), key=lambda i: (-probabilities[i], i))
    return [(class_names[i], probabilities[i]) for i in order[:count]]


def to_csv(result: PredictResult) -> str:
    """Return a line for each prediction: the picture, its class, and the probability of every class."""
    columns = ["picture", "predicted", "probability", *(f"p_{name}" for name in result.class_names)]
    rows = (
        [one.picture, one.predicted, *(f"{share:.6g}" for share in (one.probability, *one.probabilities))]
        for one in result.predictions
    )
    return spreadsheet.to_csv(columns, rows)
