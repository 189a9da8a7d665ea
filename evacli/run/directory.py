"""The run directory: the contract between the commands, and where its files get their names.

Those of single Grad-CAM pictures, which depend on what they show, are made in `gradcam_files.py`.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from shlex import quote
from tempfile import mkstemp

from evacli.errors import RunError

DEFAULT_RUN = Path("runs/default")
CONFIG = "config.json"
# No document that evacli keeps in a run directory comes near; a stranger's may be anything.
MAX_DOCUMENT_BYTES = 16 * 2**20


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
        # written by lr-find
        self.lr_find_csv = self.path / "lr_find.csv"
        self.lr_find_json = self.path / "lr_find.json"
        self.lr_find_png = self.path / "lr_find.png"
        # written by train
        self.checkpoint = self.path / "checkpoint.npz"
        self.history = self.path / "history.csv"
        self.best_model = self.path / "best.keras"
        self.summary = self.path / "summary.json"
        # written by report
        self.curves_png = self.path / "curves.png"
        self.confusion_png = self.path / "confusion_matrix.png"
        self.misclassified = self.path / "misclassified.csv"
        self.report = self.path / "report.html"
        # written by predict
        self.predictions = self.path / "predictions.csv"
        # written by gradcam
        self.gradcam_png = self.path / "gradcam.png"
        self.gradcam_folder = self.path / "gradcam"

    def create(self) -> None:
        """Makes the directory.

        Raises:
            RunError: if the file system refuses.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as e:
            raise RunError(f"Cannot create the run directory {self.path}: {e.strerror}.") from e

    def require_trained(self) -> None:
        """Raises RunError, naming the command that comes first, unless the run has a best model and a config."""
        if not (self.best_model.exists() and self.config.exists()):
            raise RunError(f"{self.path} has no trained model.", f"Run first: evacli train{self.option}")

    @property
    def option(self) -> str:
        """The `--run` option that names this run on a command line, empty for the default run."""
        return "" if self.path == DEFAULT_RUN else f" --run {quote(str(self.path))}"


def read_small(path: Path, most: int = MAX_DOCUMENT_BYTES) -> bytes:
    """The content of a file in a run directory, which a stranger may have made.

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


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Lets `write` fill a temporary file beside `path`, then puts it in place in one step.

    A process killed at any moment, or a full disk, leaves the previous file whole.

    Raises:
        RunError: if the file cannot be written; it names `path`.
    """
    temporary = None
    try:
        # The suffix stays last because savers choose the format by it.
        handle, name = mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=".tmp" + path.suffix)
        os.close(handle)
        temporary = Path(name)
        write(temporary)
        _flush_to_disk(temporary)
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
        _flush_to_disk(path.parent)
    except OSError as e:
        raise RunError(
            f"Cannot write {path}: {e.strerror or e}.",
            "The previous file is untouched; free some space or fix the path.",
        ) from e
    finally:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def remove_leftovers(*paths: Path) -> None:
    """Removes the temporary files that killed processes left of these paths, to which nobody else may be writing."""
    for path in paths:
        for leftover in path.parent.glob(f".{path.stem}.*.tmp{path.suffix}"):
            leftover.unlink(missing_ok=True)


def write_text_atomically(path: Path, text: str) -> None:
    """Writes `text` as UTF-8 through `write_atomically`; lone surrogates are escaped."""
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
