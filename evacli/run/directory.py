"""The run directory: the contract between the commands, and where its files get their names.

Those of single Grad-CAM pictures, which depend on what they show, are made in `gradcam_files.py`.
"""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from secrets import token_hex
from shlex import quote
from typing import NamedTuple

from evacli.errors import RunError

DEFAULT_RUN = Path("runs/default")
CONFIG = "config.json"
# No document that evacli keeps in a run directory comes near; a stranger's may be anything.
MAX_DOCUMENT_BYTES = 16 * 2**20


class Overlays(NamedTuple):
    """Where predict puts pictures of where the network looked.

    Attributes:
        grid: of the first ones.
        folder: with one of each.
    """

    grid: Path
    folder: Path


def beside(table: Path) -> Overlays:
    """Name the pictures that belong to a table of predictions.

    Example:
        >>> beside(Path("runs/first/predictions.csv")).folder
        PosixPath('runs/first/predictions-gradcam')
    """
    folder = table.with_name(f"{table.stem}-gradcam")
    return Overlays(folder.with_name(f"{folder.name}.png"), folder)


class Evaluation:
    """Names the files that evaluate writes into the folder of a data set."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.confusion_png = path / "confusion_matrix.png"
        self.misclassified = path / "misclassified.csv"
        self.figures = path / "evaluation.json"

    @property
    def files(self) -> tuple[Path, ...]:
        """All of them."""
        return self.confusion_png, self.misclassified, self.figures


class RunDir:
    """Names the files of one run; creates nothing until `create` is called.

    Raises:
        RunError: if `path` exists and is not a directory.
    """

    def __init__(self, path: str | Path = DEFAULT_RUN) -> None:
        self.path = Path(path)
        try:
            is_file = self.path.exists() and not self.path.is_dir()
            (self.path / CONFIG).exists()  # tells whether the directory may be entered
        except OSError as e:  # or a name that is too long
            raise RunError(f"--run {self.path}: {e.strerror}.", "Name a directory that evacli may create.") from e
        if is_file:
            raise RunError(f"--run {self.path} is a file, not a directory.", "Name a directory that evacli may create.")
        self.config = self.path / CONFIG
        self.lock = self.path / "train.lock"
        self.lock_owner = self.path / "train.pid"
        self.split = self.path / "split.csv"
        self.data = self.path / "data.npz"
        # written by lr-find
        self.lr_find_csv = self.path / "lr_find.csv"
        self.lr_find_json = self.path / "lr_find.json"
        self.lr_find_png = self.path / "lr_find.png"
        # written by train
        self.checkpoint = self.path / "checkpoint.npz"
        self.checkpoint_before = self.path / "checkpoint-previous.npz"
        self.history = self.path / "history.csv"
        self.best_model = self.path / "best.keras"
        self.summary = self.path / "summary.json"
        # written by train --log
        self.tensorboard = self.path / "tensorboard"
        self.mlflow = self.path / "mlflow"
        # held by those commands that conclude something from a training while they write
        self.drawing_lock = self.path / "drawing.lock"
        # written by report
        self.curves_png = self.path / "curves.png"
        self.confusion_png = self.path / "confusion_matrix.png"
        self.misclassified = self.path / "misclassified.csv"
        self.duplicates = self.path / "duplicates.csv"
        self.report = self.path / "report.html"
        # written by predict, the pictures if it is asked for them
        self.predictions = self.path / "predictions.csv"
        self.predictions_gradcam_png, self.predictions_gradcam_folder = beside(self.predictions)
        # written by evaluate: a folder for each data set
        self.evaluations = self.path / "evaluate"
        # written by export: a folder for each format
        self.exports = self.path / "export"
        # written by gradcam
        self.gradcam_png = self.path / "gradcam.png"
        self.gradcam_folder = self.path / "gradcam"
        self.faithfulness = self.path / "faithfulness.csv"
        # written by labels
        self.label_issues = self.path / "label_issues.csv"
        self.label_issues_png = self.path / "label_issues.png"

    @property
    def has_checkpoint(self) -> bool:
        """Whether there is a checkpoint, if only the one before the last."""
        return self.checkpoint.exists() or self.checkpoint_before.exists()

    @property
    def of_training(self) -> tuple[Path, ...]:
        """What a training and a range test write."""
        searched = self.lr_find_csv, self.lr_find_json, self.lr_find_png
        trained = self.checkpoint, self.checkpoint_before, self.history, self.best_model, self.summary
        return self.config, self.split, self.lock_owner, *searched, *trained

    @property
    def of_drawing(self) -> tuple[Path, ...]:
        """What is concluded from a training, but for single pictures and what lies in folders."""
        reported = self.curves_png, self.confusion_png, self.misclassified, self.duplicates, self.report
        doubted = self.label_issues, self.label_issues_png
        explained = self.gradcam_png, self.faithfulness
        return *reported, *doubted, *explained, self.predictions, self.predictions_gradcam_png

    @property
    def mlflow_run(self) -> Path:
        """Which run of MLflow's this is."""
        return self.mlflow / "run.json"

    @property
    def tracked(self) -> dict[str, list[Path]]:
        """Return what tells a tracker where it was, by its name; nothing where the run was not logged to it."""
        return {
            "tensorboard": sorted(self.tensorboard.glob("events.out.tfevents.*")),
            "mlflow": [self.mlflow_run] if self.mlflow_run.exists() else [],
        }

    def exported(self, kind: str) -> Path:
        """Return the folder of an exported network, by its format and what it was quantised to."""
        return self.exports / kind

    @staticmethod
    def exported_json(folder: Path) -> Path:
        """Return what lies beside an exported network and tells of it."""
        return folder / "model.json"

    def create(self) -> None:
        """Make the directory.

        Raises:
            RunError: if the file system refuses.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as e:
            raise RunError(f"Cannot create the run directory {self.path}: {e.strerror}.") from e

    def require_trained(self) -> None:
        """Raise RunError, naming the command that comes first, unless the run has a best model and a config."""
        if not (self.best_model.exists() and self.config.exists()):
            raise RunError(f"{self.path} has no trained model.", f"Run first: evacli train{self.option}")

    @property
    def option(self) -> str:
        """The `--run` option that names this run on a command line, empty for the default run."""
        return "" if self.path == DEFAULT_RUN else f" --run {quote(str(self.path))}"


def make_folder(path: Path) -> None:
    """Make a folder in a run directory for files of evacli's own; one that is there already will do.

    Raises:
        RunError: if the file system refuses, or it is a link.
    """
    if path.is_symlink():
        raise RunError(f"{path} is a link; the files would land elsewhere.", "Remove the link.")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise RunError(f"Cannot create the folder {path}: {e.strerror}.", "Move away what is there.") from e


def read_small(path: Path, most: int = MAX_DOCUMENT_BYTES) -> bytes:
    """Return the content of a file in a run directory, which a stranger may have made.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is a pipe or a device, or larger than any that evacli writes.
    """
    if path.exists() and not path.is_file():  # a pipe would never end
        raise ValueError("it is not a file")
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"it is larger than {most >> 20} MiB")
    return content


_cleaners: list[Callable[[], object]] = []


@contextmanager
def cleaning(clean: Callable[[], object]) -> Iterator[None]:
    """Call `clean` at the end of a block; or in `clean_up`, for a process that ends without leaving the block."""
    _cleaners.append(clean)
    try:
        yield
    finally:
        clean()
        _cleaners.remove(clean)


def clean_up() -> None:
    """Do what the blocks of `cleaning` that are under way would do at their end, the last one first."""
    for clean in reversed(tuple(_cleaners)):
        clean()


def unlink(path: Path) -> None:
    """Remove a file, or a folder with all that is in it, if it is there and the file system lets it go."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        return
    with suppress(OSError):
        path.unlink(missing_ok=True)


def write_atomically(path: Path, write: Callable[[Path], object], keep: Path | None = None) -> None:
    """Let `write` fill a temporary file beside `path`, then put it in place in one step.

    A process killed at any moment, or a full disk, leaves the previous file whole.

    Args:
        path: the file.
        write: writes to the path that it is given.
        keep: where the previous file goes; None: nowhere.

    Raises:
        RunError: if the file cannot be written; it names `path`.
    """
    temporary = _temporary(path)
    try:
        with cleaning(partial(unlink, temporary)):
            temporary.touch(0o600, exist_ok=False)
            write(temporary)
            _flush_to_disk(temporary)
            temporary.chmod(0o666 & ~_umask())
            if keep is not None:
                _keep(path, keep)
            temporary.replace(path)
            _flush_to_disk(path.parent)
    except OSError as e:
        raise RunError(
            f"Cannot write {path}: {e.strerror or e}.",
            "The previous file is untouched; free some space or fix the path.",
        ) from e


def write_folder_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary folder beside `path`, then put it in the place of what was there.

    No system does that in a single step: a process killed between the two that it takes leaves the previous folder
    under the name of a temporary one.

    Args:
        path: the folder.
        write: writes into the folder that it is given; what it raises leaves the previous folder as it was.

    Raises:
        RunError: if the folder cannot be written; it names `path`.
    """
    made, former = _temporary(path), _temporary(path)
    try:
        with cleaning(partial(unlink, made)):
            made.mkdir(parents=True)
            write(made)
            for file in made.rglob("*"):
                _flush_to_disk(file)
            if path.exists():
                path.rename(former)
            made.rename(path)
            unlink(former)
            _flush_to_disk(path.parent)
    except OSError as e:
        raise RunError(
            f"Cannot write {path}: {e.strerror or e}.", "What was there is untouched; free some space or fix the path."
        ) from e


def _temporary(path: Path) -> Path:
    # The process, so that others see whether it lives. The suffix stays last because savers choose the format by it.
    return path.with_name(f".{path.stem}.{os.getpid()}-{token_hex(4)}.tmp{path.suffix}")


def _keep(path: Path, kept: Path) -> None:
    """Give the file at `path`, if there is one, the name `kept` as well, so that it never is without a name."""
    link = _temporary(kept)
    with cleaning(partial(unlink, link)):  # a second name of what is kept already would stay
        try:
            link.hardlink_to(path)
            link.replace(kept)
        except FileNotFoundError:
            pass
        except OSError:  # a file system without links, such as a memory stick's
            if path.exists():
                path.replace(kept)


def remove_leftovers(*paths: Path, shared: bool = False) -> None:
    """Remove the temporary files that killed processes left.

    Args:
        paths: of which files; their names may be patterns.
        shared: whether others may be writing these files just now, whom no lock keeps away; the files of processes that
            live then stay.
    """
    for path in paths:
        for leftover in path.parent.glob(f".{path.stem}.*.tmp{path.suffix}"):
            if not (shared and _maker_lives(leftover)):
                unlink(leftover)


def _maker_lives(temporary: Path) -> bool:
    maker = re.search(r"\.(\d{1,9})-\w+\.tmp(\.\w+)?$", temporary.name)
    if maker is None:
        return False
    try:
        os.kill(int(maker[1]), 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        pass
    return True


def write_text_atomically(path: Path, text: str) -> None:
    """Write `text` as UTF-8 through `write_atomically`; lone surrogates are escaped."""
    write_atomically(path, lambda target: target.write_text(text, encoding="utf-8", errors="backslashreplace"))


def _flush_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    # The process-wide mask can only be read by setting it.
    mask = os.umask(0)
    os.umask(mask)
    return mask
