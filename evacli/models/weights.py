"""Knowing what weights take before there is memory asked for them."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from evacli.backend import keras

FLOAT = 4  # bytes
# In a training: the network, its twin and its fast copy, gradients, the optimizer, the best weights, and what
# a checkpoint copies.
COPIES = 8


@contextmanager
def counted(check: Callable[[int], object]) -> Iterator[None]:
    """Tell `check` before a layer makes a weight in the block how many bytes all of them take; it may raise.

    Example:
        >>> with counted(print):
        ...     keras.layers.Dense(10).build((None, 3))
        120
        160
    """
    total, theirs = 0, keras.layers.Layer.add_weight

    def ours(layer: Any, shape: Any = None, *args: Any, **kwargs: Any) -> Any:
        nonlocal total
        total += FLOAT * math.prod(shape or ())
        check(total)
        return theirs(layer, shape, *args, **kwargs)

    try:
        keras.layers.Layer.add_weight = ours
        yield
    finally:
        keras.layers.Layer.add_weight = theirs
