"""The training images that are nearest to an image, as the network sees them: what it may have taken the image for."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from evacli.nearest import Nearest

if TYPE_CHECKING:
    from evacli.evaluation import EvaluatedRun

NEIGHBOURS = 3


def neighbours(run: "EvaluatedRun", indices: Sequence[int]) -> NDArray[np.int64]:
    """Return the training images that the network takes to be most like some test images.

    They are found while the network is asked about all training images, so that `run.train` costs nothing afterwards.

    Args:
        run: whose network, test and training images.
        indices: (Q,) of the test images.

    Returns:
        (Q, 3) indices of training images, the nearest first; fewer columns if there are fewer of them.
    """
    queries = run.embeddings(run.data.test.images.take(list(indices)))
    nearest = Nearest(queries, min(NEIGHBOURS, len(run.data.train)))
    run.train_shown(nearest.show)
    return nearest.indices
