"""Runs every command with little memory, and tells what is lost or half written: `make starve`.

Whatever the limit, a command ends well or with one line, and what a run had before it still has.
"""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
from evacli_processes import Ended, Evacli
from PIL import Image
from tiny_data import write_digits

from evacli.errors import EvacliError
from evacli.run import checkpoint, history, summary
from evacli.run.directory import RunDir

SETTINGS = ("--precision", "float32", "--batch-size", "64", "--lr", "0.01", "--limit-test", "50")
# GB. Commands that begin with nothing: where TensorFlow does not start, and where it just does. And such that begin
# with TensorFlow imported, which takes 2.2 GB: from where nothing else fits to where most does.
ALONE, IMPORTED = (2.0, 3.0), (2.4, 2.6, 3.0)


# Runs `evacli ARGUMENTS` in a folder, in a process that may have so many addresses; see `alone`.
Run = Callable[..., Ended]


def alone(folder: Path, gigabytes: float | None, *arguments: object) -> Ended:
    """A `Run` of a process that begins with nothing, as a user's does."""
    command = [sys.executable, "-m", "evacli", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)}
    before = None if gigabytes is None else partial(limit_addresses, gigabytes)
    ended = subprocess.run(
        command, cwd=folder, env=environment, preexec_fn=before, capture_output=True, text=True, check=False
    )
    return Ended(ended.returncode, ended.stdout, ended.stderr)


def imported(evacli: Evacli) -> Run:
    """Return a `Run` of processes that begin with TensorFlow imported."""
    return lambda folder, gigabytes, *arguments: evacli(*arguments, cwd=folder, gigabytes=gigabytes)


def limit_addresses(gigabytes: float) -> None:
    """Does what `ulimit -v` does."""
    resource.setrlimit(resource.RLIMIT_AS, (int(gigabytes * 1e9),) * 2)


def commands(folder: Path) -> dict[str, tuple[object, ...]]:
    """Of a folder that `prepare` has filled."""
    new = ("--data", folder / "digits.npz", *SETTINGS)
    return {
        "train, new": ("train", "--run", "new", "--epochs", 1, *new),
        "train, resumed": ("train", "--run", "old", "--epochs", 2),
        "lr-find": ("lr-find", "--run", "searched", "--steps", 25, *new),
        "report": ("report", "--run", "old"),
        "gradcam": ("gradcam", "--run", "old", "--n", 3),
        "compare": ("compare", "old", "other"),
        "predict": ("predict", folder / "digit.png", "--run", "old"),
        "evaluate": ("evaluate", "--run", "old", "--data", folder / "digits.npz"),
        "export": ("export", "--run", "old", "--format", "savedmodel"),
    }


def prepare(folder: Path, run: Run = alone) -> Path:
    """Makes data and a run of one epoch."""
    data = write_digits(folder / "digits.npz")
    made = run(folder, None, "train", "--run", "old", "--epochs", 1, "--data", data, *SETTINGS)
    if made.code:
        raise RuntimeError(made.err)
    shutil.copytree(folder / "old", folder / "other")
    Image.fromarray(np.load(data)["x_test"][0]).save(folder / "digit.png")
    return folder


def starve(prepared: Path, name: str, gigabytes: float, run: Run = alone) -> tuple[str, list[str]]:
    """Runs one command on a copy of what was prepared; returns how it ended, and what is wrong with that."""
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "copy"
        shutil.copytree(prepared, folder)
        before = checkpoint.load(RunDir(folder / "old"))
        ended = run(folder, gigabytes, *commands(prepared)[name], "--quiet")
        lines = [line for line in ended.err.splitlines() if not line.startswith("warning: ")]
        told = "ended well" if ended.code == 0 else " / ".join(lines) or f"ended with {ended.code}"
        wrong = []
        if ended.code and not (len(lines) == 1 and lines[0].startswith("error: ")):
            wrong.append("it does not say why in one line")
        if "unforeseen" in ended.err:
            wrong.append("it does not know that memory is what it lacks")
        wrong += [f"{path} is left over" for path in folder.rglob(".*.tmp*")]
        try:
            for run in map(RunDir, filter(Path.is_dir, folder.iterdir())):
                checkpoint.load(run)
                for path, read in (
                    (run.history, history.read_csv),
                    (run.summary, lambda _, run=run: summary.read(run)),
                ):
                    if path.exists():
                        read(path)
        except EvacliError as e:
            wrong.append(e.message)
        after = checkpoint.load(RunDir(folder / "old"))
        if before is None or after is None or len(after[0].rows) < len(before[0].rows):
            wrong.append("an epoch is lost")
        return told, wrong


def main() -> None:
    found = 0
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as processes:
        evacli = Evacli(Path(processes))
        prepared = prepare(Path(folder), imported(evacli))
        runs = [*product((imported(evacli),), IMPORTED), *product((alone,), ALONE)]
        for run, gigabytes in runs:
            for name in commands(prepared):
                told, wrong = starve(prepared, name, gigabytes, run)
                sys.stdout.write("\n  WRONG: ".join([f"{gigabytes:g} GB, {name}: {told}", *wrong]) + "\n")
                sys.stdout.flush()
                found += len(wrong)
        evacli.close()
    sys.stdout.write(f"{found} things are wrong\n")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
