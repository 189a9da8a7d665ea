"""The checkpoint: everything that a training needs to go on exactly, as one file that is replaced in one step.

Layout: an uncompressed `.npz` of plain arrays (no pickles) named `group/index`, and `progress`, the bytes of a JSON
document.
"""

import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from evacli.config import Config, with_current_names
from evacli.errors import RunError
from evacli.run import config_file
from evacli.run.directory import RunDir, write_atomically
from evacli.run.history import Row

Arrays = dict[str, list[NDArray[Any]]]
Count = Annotated[int, Meta(ge=0)]

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
        class_names: the classes trained on.
        data_fingerprint: `Data.fingerprint` of what is trained on.
        network_fingerprint: `models.fingerprint` of what is trained; empty in checkpoints from before there was one.
        versions: versions and settings that the arithmetic depends on.
    """

    config: Config
    lr: float
    lr_source: str
    base_lr: float | None = None
    rows: tuple[Row, ...] = ()
    batch: Count = 0
    seconds: float = 0.0
    best_epoch: Count = 0
    class_names: tuple[str, ...]
    data_fingerprint: str
    network_fingerprint: str = ""
    versions: dict[str, str]


def save(run: RunDir, progress: Progress, arrays: Arrays) -> None:
    """Replaces the run's checkpoint in one step.

    Raises:
        RunError: if it cannot be written; the previous one is whole then.
    """
    document = json.dumps(msgspec.to_builtins(progress)).encode()
    named = {f"{group}/{i}": array for group, values in arrays.items() for i, array in enumerate(values)}

    def write(target: Any) -> None:
        np.savez(target, allow_pickle=False, progress=np.frombuffer(document, np.uint8), **named)

    write_atomically(run.checkpoint, write)


def load(run: RunDir) -> tuple[Progress, Arrays] | None:
    """The run's checkpoint, None where there is none.

    Raises:
        RunError: if the file is cut short, garbled or no checkpoint of evacli.
    """
    if not run.checkpoint.exists():
        return None
    with _opened(run) as stored:
        names = [name for name in stored.files if "/" in name]
        return _progress(stored), _grouped({name: stored[name] for name in names})


def load_progress(run: RunDir) -> Progress | None:
    """The same without the arrays, which may be many."""
    if not run.checkpoint.exists():
        return None
    with _opened(run) as stored:
        return _progress(stored)


def restore_config(run: RunDir) -> None:
    """Writes `config.json` again where only the checkpoint knows what the run was made with."""
    if not run.config.exists() and (progress := load_progress(run)):
        config_file.write(run, progress.config)


@contextmanager
def _opened(run: RunDir) -> Iterator[NpzFile]:
    _check_access(run.checkpoint)
    try:
        _check_sizes(run.checkpoint)
        with np.load(run.checkpoint, allow_pickle=False) as stored:
            yield stored
    except Exception as e:  # of a stranger's bytes, whatever the first parser that stumbles over them raises
        reason = str(e).splitlines()[0] if str(e) else type(e).__name__
        raise RunError(
            f"{run.checkpoint} is damaged or no checkpoint of evacli: {reason.rstrip('.')}.",
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
    return msgspec.convert(with_current_names(json.loads(stored["progress"].tobytes())), Progress)


def _grouped(named: Mapping[str, NDArray[Any]]) -> Arrays:
    groups: dict[str, dict[int, NDArray[Any]]] = {}
    for name, array in named.items():
        group, _, index = name.partition("/")
        groups.setdefault(group, {})[int(index)] = array
    return {group: [arrays[i] for i in sorted(arrays)] for group, arrays in groups.items()}
