"""What must not depend on whether a training was interrupted."""

import hashlib
from pathlib import Path
from typing import Any

import msgspec

from evacli.run import checkpoint
from evacli.run.directory import RunDir


def state(path: Path) -> dict[str, Any]:
    """Hashes of all arrays of a run's checkpoint, and its progress without the seconds."""
    progress, arrays = checkpoint.load(RunDir(path))
    hashes = {group: [_hash(array) for array in members] for group, members in arrays.items()}
    rows = [msgspec.structs.replace(row, seconds=0.0) for row in progress.rows]
    return hashes | {"progress": msgspec.structs.replace(progress, rows=tuple(rows), seconds=0.0)}


def _hash(array: Any) -> str:
    return hashlib.blake2b(repr((array.dtype, array.shape)).encode() + array.tobytes()).hexdigest()
