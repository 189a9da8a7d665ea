"""The handwritten digits that come with scikit-learn: real images without a network."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from evacli.data.arrays import rgb
from evacli.data.images import InMemory
from evacli.data.types import Split

SIDE = 32
TEST_SHARE = 0.2


def read(_: str) -> tuple[Split, Split]:
    """Load the 1,797 digits of 8x8 pixels and 17 grey levels as 32x32 RGB, always split the same way.

    Source: E. Alpaydin & C. Kaynak (1998), Optical Recognition of Handwritten Digits, UCI Machine Learning Repository.
    """
    digits = load_digits()
    everything = np.arange(len(digits.target))
    train, test = train_test_split(everything, test_size=TEST_SHARE, stratify=digits.target, random_state=0)

    def split(chosen: NDArray[np.int64]) -> Split:
        images = np.stack([_enlarged(digits.images[i]) for i in chosen])
        return Split(InMemory(rgb(images)), digits.target[chosen].astype(np.int64), [str(i) for i in chosen])

    return split(np.sort(train)), split(np.sort(test))


def _enlarged(image: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Enlarge (8, 8) of 0..16 to (32, 32) of 0..255."""
    grey = Image.fromarray((image * (255 / 16)).astype(np.uint8))
    return np.asarray(grey.resize((SIDE, SIDE), Image.Resampling.BICUBIC))
