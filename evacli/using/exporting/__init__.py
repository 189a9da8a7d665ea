"""The formats that a network is exported to, one file each, with two functions.

`convert` writes a network, from raw pixels to probabilities, into a file; `load` opens such a file in the runtime that
it is for. What either prints is kept from the console by the workflow, `evacli.using.export`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from evacli.catalogue.exports import Quantize

# From (B, H, W, 3) pixels 0..255 to (B, C) probabilities.
Answers = Callable[[NDArray[np.float32]], NDArray[np.float32]]


class Order(NamedTuple):
    """What is to be converted.

    Attributes:
        network: a keras.Model from (B, H, W, 3) float32 pixels 0..255 to (B, C) probabilities.
        quantize: the kind of smaller numbers to write it in; None for its own.
        examples: (N, H, W, 3) float32 training images, for a converter that has to see how large numbers become.
        about: what the file shall say of itself, texts by name.
    """

    network: Any
    quantize: Quantize | None
    examples: NDArray[np.float32]
    about: dict[str, str]


class Format(Protocol):
    """What a module of this package is."""

    def convert(self, order: Order, file: Path) -> None:
        """Write the network into `file`, and what belongs to it beside it."""

    def load(self, file: Path) -> Answers:
        """Open a file that `convert` has written."""
