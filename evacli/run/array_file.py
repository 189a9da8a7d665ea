"""Arrays in a `.npz` file, so written that a full disk is one error."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def write(target: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write what `numpy.load` reads: a zip file, not compressed, with a `.npy` file per array.

    `numpy.savez` before 2.2 writes the same, but takes the names `file` and `allow_pickle` for its own, and leaves a
    file that it cannot finish to the garbage collector, which complains on stderr.

    Args:
        target: the file, which is replaced.
        arrays: by name, of any shapes; none holds Python objects.

    Raises:
        OSError: if the disk is full or the file cannot be written.

    Example:
        >>> write(Path("both.npz"), {"x": np.zeros(3), "y": np.ones((2, 2))})
    """
    with zipfile.ZipFile(target, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)
