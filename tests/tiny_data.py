"""Real images, and a network that learns something about them in a second."""

from pathlib import Path

import numpy as np

TINY = f"{Path(__file__).with_name('tiny_networks.py')}:tiny"


def write_digits(path: Path) -> Path:
    """200 + 100 handwritten digits of 8x8 pixels as an .npz."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x, y = np.repeat((bunch.images * 15.9).astype(np.uint8)[..., None], 3, axis=-1), bunch.target  # (N, 8, 8, 3) uint8
    np.savez(path, x_train=x[:200], y_train=y[:200], x_test=x[200:300], y_test=y[200:300])
    return path
