from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from evacli_processes import Evacli


@pytest.fixture(scope="session")
def evacli(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evacli]:
    """Runs `evacli ...` in processes of their own."""
    server = Evacli(tmp_path_factory.mktemp("processes"))
    yield server
    server.close()


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An .npz of 200 + 100 handwritten digits of 8x8 pixels: real, and learnt in a second."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x = np.repeat((bunch.images * 15.9).astype(np.uint8)[..., None], 3, axis=-1)  # (N, 8, 8, 3) uint8
    path = tmp_path_factory.mktemp("data") / "digits.npz"
    y = bunch.target
    np.savez(path, x_train=x[:200], y_train=y[:200], x_test=x[200:300], y_test=y[200:300])
    return path
