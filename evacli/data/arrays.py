"""Bringing arrays of images to the one form that evacli uses."""

import numpy as np
from numpy.typing import NDArray


def rgb(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Make contiguous (N, H, W, 3) of grey (N, H, W), (N, H, W, 1) or RGB images."""
    grey = images[..., None] if images.ndim == 3 else images
    if grey.shape[-1] == 1:
        return np.repeat(grey, 3, axis=-1)
    return np.ascontiguousarray(images)


def indices(count: int) -> list[str]:
    """Return the names of images that have none: their indices."""
    return [str(i) for i in range(count)]
