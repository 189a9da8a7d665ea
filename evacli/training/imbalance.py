"""Classes of which some have many more images than others."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evacli import console
from evacli.formats import counted

# From here on accuracy says little of the small classes.
VERY_UNEQUAL = 10


def class_weights(labels: NDArray[np.int64], wanted: float | Literal["none", "balanced"]) -> NDArray[np.float32] | None:
    """Return how much the loss of an image of each class counts.

    Args:
        labels: (N,) of the training images, of C classes, each of which has one.
        wanted: "none"; "balanced": N / (C times the images of the class), so that all classes count the same (King &
            Zeng 2001); or the exponent of that, between 0 and 1 for something in between.

    Returns:
        (C,) weights, of which the mean over the images is 1; None where all count the same.

    Example:
        >>> class_weights(np.array([0, 0, 0, 1]), "balanced")
        array([0.6666667, 2.       ], dtype=float32)
    """
    exponent = {"none": 0.0, "balanced": 1.0}.get(wanted, wanted)  # type: ignore[arg-type]
    if not exponent:
        return None
    counts = np.bincount(labels)
    weights = (len(labels) / (len(counts) * counts)) ** float(exponent)
    return (weights * len(labels) / (weights @ counts)).astype(np.float32)


def hint(labels: NDArray[np.int64], class_names: Sequence[str]) -> None:
    """Tell that classes are very unequal, and what helps."""
    counts = np.bincount(labels)
    least, most = int(counts.argmin()), int(counts.argmax())
    if counts[most] >= VERY_UNEQUAL * counts[least]:
        console.note(
            f"The classes are very unequal: {counted(int(counts[least]), 'image')} of {class_names[least]}, "
            f"{counts[most]:,} of {class_names[most]}. Look at the balanced accuracy; --class-weights balanced helps.",
            "yellow",
        )
