"""Where pictures are kept, behind one protocol: whoever reads them need not know whether they fit into memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.integer] | list[int]
BLOCK_PIXELS = 2**18  # of a block that is read in one go: under a megabyte


class Images(Protocol):
    """Pictures of one size in a fixed order."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, 3) of each picture, in pixels."""

    def __len__(self) -> int:
        """Count the pictures."""

    def read(self, indices: Indices) -> NDArray[np.uint8]:
        """Return the pictures at (B,) `indices`, in that order, as (B, H, W, 3) RGB."""

    def blocks(self, size: int) -> Iterator[NDArray[np.uint8]]:
        """Yield all pictures in their order, `size` at a time; the last block may have fewer."""

    def take(self, indices: Indices) -> "Images":
        """Return the pictures at `indices`, in that order, as a collection of their own."""


@dataclass(frozen=True)
class InMemory:
    """Pictures in one array.

    Attributes:
        array: (N, H, W, 3) uint8, RGB.

    Example:
        >>> InMemory(np.zeros((5, 32, 32, 3), np.uint8)).read([4, 0]).shape
        (2, 32, 32, 3)
    """

    array: NDArray[np.uint8]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, 3) of each picture, in pixels."""
        height, width, channels = self.array.shape[1:]
        return height, width, channels

    def __len__(self) -> int:
        return len(self.array)

    def read(self, indices: Indices) -> NDArray[np.uint8]:
        """Copy the pictures at `indices`."""
        return self.array[indices]

    def blocks(self, size: int) -> Iterator[NDArray[np.uint8]]:
        """Yield views of the array."""
        for start in range(0, len(self.array), size):
            yield self.array[start : start + size]

    def take(self, indices: Indices) -> "Images":
        """Copy a few pictures, so that the others can go; leave most of them where they are."""
        return Chosen(self, np.asarray(indices)) if 2 * len(indices) > len(self) else InMemory(self.array[indices])


@dataclass(frozen=True)
class Chosen:
    """Pictures of another collection, which stay there.

    Attributes:
        images: that collection.
        indices: (N,) which of its pictures these are.

    Example:
        >>> Chosen(InMemory(np.zeros((5, 32, 32, 3), np.uint8)), np.array([4, 0, 1])).read([2]).shape
        (1, 32, 32, 3)
    """

    images: Images
    indices: NDArray[np.integer]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, 3) of each picture, in pixels."""
        return self.images.shape

    def __len__(self) -> int:
        return len(self.indices)

    def read(self, indices: Indices) -> NDArray[np.uint8]:
        """Copy the pictures at `indices`."""
        return self.images.read(self.indices[indices])

    def blocks(self, size: int) -> Iterator[NDArray[np.uint8]]:
        """Yield copies."""
        for start in range(0, len(self), size):
            yield self.images.read(self.indices[start : start + size])

    def take(self, indices: Indices) -> "Images":
        """Choose among those that are chosen."""
        return Chosen(self.images, self.indices[indices])


def block_size(shape: tuple[int, int, int]) -> int:
    """Return how many pictures of `shape` make a block of moderate size."""
    return max(1, BLOCK_PIXELS // (shape[0] * shape[1]))
