"""The checkpoint: everything that a training needs to go on exactly, as one file that is replaced in one step.

Layout: an uncompressed `.npz` of plain arrays (no pickles) named `group/index`, and `progress`, the bytes of a JSON
document. The one before stays beside it, for a disk that loses what it was given. Zip files carry a checksum of every
member, which is checked in reading, and its name twice; but their list of members has none, and can come to an end too
early. So the document counts the arrays of each group, and damage is told from all that is read.
"""

import json
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import numpy as np
from msgspec import Meta
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from evacli import console
from evacli.config import Config, Rate, up_to_date
from evacli.errors import RunError
from evacli.run import array_file, config_file
from evacli.run.directory import RunDir, write_atomically
from evacli.run.history import Finite, Row, check_numbers
from evacli.run.summary import Origin

Arrays = dict[str, list[NDArray[Any]]]
Count = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Share = Annotated[float, Meta(ge=0, le=1)]
T = TypeVar("T")

_COUNTS = "arrays"  # where the document has, beside the progress, how many there are of each group

# A network of a billion parameters, Adam's two moments of each, and its best weights.
MAX_BYTES = 16 * 2**30


class Progress(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far a training is, beside its arrays.

    Attributes:
        config: the resolved configuration.
        lr: the peak learning rate.
        lr_source: where the learning rate came from, as a person reads it.
        base_lr: the lower end of a cyclical or one-cycle schedule; None: the schedule's own.
        rows: one per finished epoch.
        batch: finished batches of the epoch after those.
        seconds: spent on that epoch so far.
        best_epoch: the epoch, counted from 1, whose weights are the best; 0 before there is one.
        balanced_accuracy: with those, the mean recall of the classes of the test images; None in old checkpoints.
        macro_f1: likewise, the mean F1.
        class_names: the classes trained on.
        data_fingerprint: `Data.fingerprint` of what is trained on.
        network_fingerprint: `models.fingerprint` of what is trained; empty in checkpoints from before there was one.
        pretrained: where the weights come from that it began with; None: they were random.
        versions: versions and settings that the arithmetic depends on.
    """

    config: Config
    lr: Rate
    lr_source: str
    base_lr: Rate | None = None
    rows: tuple[Row, ...] = ()
    batch: Count = 0
    seconds: Finite = 0.0
    best_epoch: Count = 0
    balanced_accuracy: Share | None = None
    macro_f1: Share | None = None
    class_names: tuple[str, ...]
    data_fingerprint: str
    network_fingerprint: str = ""
    pretrained: Origin | None = None
    versions: dict[str, str]

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        check_numbers(self.rows)
        if self.best_epoch > len(self.rows):
            raise ValueError(f"its best epoch is {self.best_epoch} of {len(self.rows)}")


def save(run: RunDir, progress: Progress, arrays: Arrays) -> None:
    """Replace the run's checkpoint in one step; what was the last one becomes the one before.

    Raises:
        RunError: if it cannot be written; the last one is whole then.
    """
    named = {f"{group}/{i}": array for group, values in arrays.items() for i, array in enumerate(values)}
    document = json.dumps(msgspec.to_builtins(progress) | {_COUNTS: _counted(named)}).encode()
    named["progress"] = np.frombuffer(document, np.uint8)
    write_atomically(run.checkpoint, lambda target: array_file.write(target, named), keep=run.checkpoint_before)


def load(run: RunDir) -> tuple[Progress, Arrays] | None:
    """Return the run's checkpoint, None where there is none; to be called under the lock of the run.

    In the place of one that is damaged or missing comes the one before, if that is sound.

    Raises:
        RunError: if there is none but such that are cut short, garbled or no checkpoints of evacli.
    """
    return _last_sound(run, lambda stored: (_progress(stored), _grouped(stored)), _replace_damaged)


def load_progress(run: RunDir) -> Progress | None:
    """Return the same without the arrays, which may be many, and without touching anything."""
    return _last_sound(run, _progress)


def _last_sound(
    run: RunDir, read: Callable[[NpzFile], T], fall_back: Callable[[RunDir, str, T], object] = lambda *_: None
) -> T | None:
    problem = None
    if run.checkpoint.exists():
        try:
            return _read(run.checkpoint, run, read)
        except _Damaged as e:
            problem = e
    if run.checkpoint_before.exists():
        try:
            found = _read(run.checkpoint_before, run, read)
        except _Damaged as e:
            raise problem or e from None
        fall_back(run, f"{run.checkpoint} is missing." if problem is None else problem.message, found)
        return found
    if problem:
        raise problem
    return None


def _replace_damaged(run: RunDir, problem: str, found: tuple[Progress, Arrays]) -> None:
    # At once: what is saved next would else make the damaged one that before the last, in the place of the sound one.
    try:
        run.checkpoint_before.replace(run.checkpoint)
    except OSError as e:
        raise RunError(f"{problem} The one before cannot take its place: {e.strerror or e}.") from e
    done = found[0]
    console.warn(
        f"{problem} Going on from the one before: epoch {len(done.rows) + 1}, after {done.batch} of its batches; "
        "what was done since then is done again."
    )


def restore_config(run: RunDir) -> None:
    """Write `config.json` again where only the checkpoint knows what the run was made with."""
    if not run.config.exists() and (progress := load_progress(run)):
        config_file.write(run, progress.config)


class _Damaged(RunError):
    """The file is not, or no longer, what `save` wrote."""


def _read(path: Path, run: RunDir, read: Callable[[NpzFile], T]) -> T:
    _check_access(path)
    try:
        _check_sizes(path)
        with np.load(path, allow_pickle=False) as stored:
            return read(stored)
    except MemoryError:  # which says nothing about the file
        raise
    except Exception as e:  # of a stranger's bytes, whatever the first parser that stumbles over them raises
        reason = str(e).splitlines()[0] if str(e) else type(e).__name__
        raise _Damaged(
            f"{path} is damaged or no checkpoint of evacli: {reason.rstrip('.')}.",
            f"Start anew: evacli train{run.option} --overwrite",
        ) from e


def _check_access(path: Path) -> None:
    # Of a file that may well be whole; nobody should be told to start anew.
    try:
        if path.is_file():
            path.open("rb").close()
    except OSError as e:
        raise RunError(f"Cannot read {path}: {e.strerror or e}.") from e


def _check_sizes(path: Path) -> None:
    # What `save` wrote is not compressed, so nothing honest unpacks to more than the file itself.
    if not path.is_file():
        raise ValueError("it is not a file")
    limit = min(path.stat().st_size, MAX_BYTES)
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
    if unpacked > limit:
        raise ValueError(f"it would unpack to {unpacked:,} bytes")


def _progress(stored: NpzFile) -> Progress:
    document = up_to_date(json.loads(stored["progress"].tobytes()))
    found = _counted(name for name in stored.files if name != "progress")
    # Earlier versions counted nothing.
    if isinstance(document, dict) and document.pop(_COUNTS, found) != found:
        raise ValueError("an array is missing")
    return msgspec.convert(document, Progress)


def _counted(names: Iterable[str]) -> dict[str, int]:
    """Count the arrays of each group, by their names."""
    return Counter(name.partition("/")[0] for name in names)


def _grouped(stored: NpzFile) -> Arrays:
    groups: dict[str, dict[int, NDArray[Any]]] = {}
    for name in stored.files:
        if name != "progress":
            group, _, index = name.partition("/")
            groups.setdefault(group, {})[int(index)] = stored[name]
    if any(sorted(arrays) != list(range(len(arrays))) for arrays in groups.values()):
        raise ValueError("an array is missing")
    return {group: [arrays[i] for i in sorted(arrays)] for group, arrays in groups.items()}
