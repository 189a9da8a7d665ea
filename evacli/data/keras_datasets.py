"""The data sets that Keras downloads."""

import gzip
import zlib

import numpy as np
from numpy.typing import NDArray

from evacli.backend import keras
from evacli.data.arrays import indices, rgb
from evacli.data.downloads import own_progress_bar
from evacli.data.hostile import reason
from evacli.data.images import InMemory
from evacli.data.types import Split
from evacli.errors import DataError


def read(name: str) -> tuple[Split, Split]:
    """Load the splits of a data set of `keras.datasets`, downloading it at the first use.

    Raises:
        DataError: if it cannot be downloaded or the download is damaged; it names the ways on.
    """
    try:
        with own_progress_bar(f"downloading {name} (MB)"):
            train, test = getattr(keras.datasets, name).load_data()
    except (EOFError, gzip.BadGzipFile, zlib.error) as e:
        raise DataError(
            f"The download of {name} in ~/.keras/datasets is damaged: {reason(e)}.", "Delete it, and try again."
        ) from e
    # Keras itself raises a bare Exception for a failed download.
    except Exception as e:
        raise DataError(
            f"Cannot download {name}: {reason(e)}.",
            "Give files you have with --data PATH, or take --dataset digits, which needs no network.",
        ) from e
    return _split(*train), _split(*test)


def _split(images: NDArray[np.uint8], labels: NDArray[np.integer]) -> Split:
    return Split(InMemory(rgb(images)), labels.reshape(-1).astype(np.int64), indices(len(images)))
