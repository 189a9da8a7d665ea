"""What one pass over all pictures tells: their fingerprint, and the mean and deviation of their colours."""

import hashlib
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evacli.data.images import block_size
from evacli.data.types import Colour, Data, Split


class Survey(NamedTuple):
    """What a pass over the pictures found; see the attributes of `Data` that have these names."""

    fingerprint: str
    mean: Colour
    std: Colour


def survey(class_names: tuple[str, ...], train: Split, validation: Split | None, test: Split) -> Survey:
    """Read every picture once.

    The fingerprint is a digest over pixels, labels and class names of all splits. The mean is rounded to a grey level,
    so that uint8 pixels that Cutout fills with it are exactly zero after normalisation.
    """
    digest = hashlib.blake2b(repr(class_names).encode("utf-8", "surrogatepass"), digest_size=16)
    sums, squares = np.zeros(3, np.int64), np.zeros(3, np.int64)
    for split in (train, validation, test):
        if split is not None:
            digest.update(repr((len(split), *split.images.shape)).encode())
            for block in split.images.blocks(block_size(split.images.shape)):
                digest.update(np.ascontiguousarray(block).data)
                if split is train:
                    sums += _summed(block)
                    squares += _summed(np.square(block, dtype=np.uint16))
            digest.update(np.ascontiguousarray(split.labels).data)
        digest.update(b"|")
    return Survey(digest.hexdigest(), *_colours(sums, squares, train))


def fingerprint_under(class_names: tuple[str, ...], data: Data) -> str:
    """Return the fingerprint of data whose class names a run has stored in another spelling, as early versions did."""
    if class_names == data.class_names:
        return data.fingerprint
    return survey(class_names, data.train, data.validation, data.test).fingerprint


def _summed(block: NDArray[np.unsignedinteger]) -> NDArray[np.int64]:
    """Sum up each channel of (B, H, W, 3) whole numbers; first over the images, which runs along the memory."""
    over_images = block.sum(axis=0, dtype=np.uint32)  # a block is too small for more than 2^32
    total: NDArray[np.int64] = over_images.sum(axis=(0, 1), dtype=np.int64)
    return total


def _colours(sums: NDArray[np.int64], squares: NDArray[np.int64], train: Split) -> tuple[Colour, Colour]:
    height, width, _ = train.images.shape
    pixels = len(train) * height * width
    mean = sums / pixels
    std = np.sqrt(np.maximum(squares / pixels - mean**2, 1))
    return _colour(mean.round()), _colour(std)


def _colour(channels: NDArray[np.float64]) -> Colour:
    red, green, blue = map(float, channels)
    return red, green, blue
