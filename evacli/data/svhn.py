"""SVHN's cropped digits, in MATLAB's files: `train_32x32.mat` and `test_32x32.mat`.

Format: Y. Netzer et al. (2011), http://ufldl.stanford.edu/housenumbers.
"""

from pathlib import Path

import numpy as np

from evacli.data.arrays import indices, rgb
from evacli.data.hostile import MAX_BYTES, reading
from evacli.data.images import InMemory
from evacli.data.layout import TEST, TRAIN
from evacli.data.types import Source, Split
from evacli.errors import DataError

FILES = {TRAIN: "train_32x32.mat", TEST: "test_32x32.mat"}
FIX = "Take the official files train_32x32.mat and test_32x32.mat."


def fits(folder: Path) -> bool:
    """Return whether a folder holds one of the files."""
    return any((folder / name).is_file() for name in FILES.values())


def read(folder: Path) -> Source:
    """Load both files; the class of the digit 0, which they call 10, comes first.

    Raises:
        DataError: if one is missing or garbled.
    """
    if missing := [name for name in FILES.values() if not (folder / name).is_file()]:
        raise DataError(f"{folder} lacks {missing[0]}.", FIX)
    splits = {role: _split(folder / name) for role, name in FILES.items()}
    return Source(splits[TRAIN], splits[TEST], tuple(map(str, range(10))), flippable=False)


def _split(path: Path) -> Split:
    from scipy import io  # scikit-learn brings it along

    with reading(path, FIX):
        shapes = {name: shape for name, shape, _ in io.whosmat(path)}
        if not {"X", "y"} <= shapes.keys() or np.prod(shapes["X"], dtype=object) > 8 * MAX_BYTES:
            raise ValueError("it lacks the images X and the labels y")
        found = io.loadmat(path, variable_names=["X", "y"])
        images, labels = found["X"], found["y"].reshape(-1)
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[2:] != (3, len(labels)):
            raise ValueError(f"its images are {images.dtype} of shape {images.shape}")
        if labels.dtype.kind not in "ui" or not ((labels >= 1) & (labels <= 10)).all():
            raise ValueError("its labels are not numbers from 1 to 10")
        return Split(InMemory(rgb(images.transpose(3, 0, 1, 2))), labels.astype(np.int64) % 10, indices(len(labels)))
