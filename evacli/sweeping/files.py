"""The folder of a sweep: where its files get their names. Those of a trial are a run directory's."""

from pathlib import Path
from shlex import quote

from evacli.errors import RunError
from evacli.run.directory import RunDir

DEFAULT_SWEEP = Path("sweeps/default")


class SweepDir:
    """Names the files of one sweep; creates nothing until `create` is called.

    Raises:
        RunError: if `path` exists and is not a directory.
    """

    def __init__(self, path: str | Path = DEFAULT_SWEEP) -> None:
        self.path = Path(path)
        self.plan = self.path / "sweep.json"
        # what the drivers of a sweep tell each other
        self._state = self.path / "state"
        self.journal = self._state / "journal.log"
        self.lock = self._state / "sweep.lock"
        # written at the end
        self.table = self.path / "sweep.csv"
        self.page = self.path / "sweep.html"
        try:
            usable = not self.path.exists() or self.path.is_dir()
            is_run = RunDir(self.path).config.exists() if usable else False
        except OSError as e:
            raise RunError(f"--sweep {self.path}: {e.strerror}.", "Name a folder that evacli may create.") from e
        if not usable or is_run:
            kind = "a run" if is_run else "a file"
            raise RunError(f"--sweep {self.path} is {kind}, not a sweep.", "Name a folder that evacli may create.")

    def trial(self, number: int) -> RunDir:
        """Return the run directory of a trial, counted from 0."""
        return RunDir(self.path / f"trial-{number:03}")

    def repeated(self, number: int, seed: int) -> RunDir:
        """Return the run directory of the training that repeats a trial on all images with another seed."""
        return RunDir(self.path / f"trial-{number:03}-seed-{seed}")

    def claim(self, run: RunDir) -> Path:
        """Return what a driver holds as long as it looks after a run."""
        return self._state / f"{run.path.name}.lock"

    def log(self, run: RunDir) -> Path:
        """Return where the training of a run says what others say on the terminal."""
        return self._state / f"{run.path.name}.log"

    @property
    def option(self) -> str:
        """The `--sweep` option that names it on a command line, empty for the default sweep."""
        return "" if self.path == DEFAULT_SWEEP else f" --sweep {quote(str(self.path))}"

    def create(self) -> None:
        """Make the folder.

        Raises:
            RunError: if the file system refuses.
        """
        try:
            self._state.mkdir(parents=True, exist_ok=True)
        except OSError as e:
            raise RunError(f"Cannot create the sweep {self.path}: {e.strerror}.", "Name another --sweep.") from e
