"""The nearest of very many vectors, of which a block at a time need be there."""

import numpy as np
from numpy.typing import NDArray


class Nearest:
    """Keeps, of all vectors shown so far, those nearest to each of some others.

    Attributes:
        indices: (Q, K) of the nearest ones, the nearest first; -1 where there are fewer.
        distances: (Q, K), ascending; infinite where there are fewer.
        shown: how many vectors that were.

    Example:
        >>> nearest = Nearest(np.array([[0.0], [9.0]]), 1)
        >>> nearest.show(np.array([[1.0], [8.0]]))
        >>> nearest.show(np.array([[9.5]]))
        >>> nearest.indices.tolist()
        [[0], [2]]
    """

    def __init__(self, queries: NDArray[np.floating], k: int) -> None:
        """Take the (Q, D) vectors whose `k` nearest are looked for."""
        self._queries, self._k, self.shown = queries, k, 0
        self.indices = np.full((len(queries), k), -1)
        self.distances = np.full((len(queries), k), np.inf)

    def show(self, block: NDArray[np.floating]) -> None:
        """Look at the next vectors, (B, D); of equal distances the earlier one counts as nearer."""
        from sklearn.neighbors import NearestNeighbors

        near = NearestNeighbors(n_neighbors=min(self._k, len(block)), algorithm="brute").fit(block)
        distances, indices = near.kneighbors(self._queries)
        distances = np.concatenate([self.distances, distances], axis=1)
        indices = np.concatenate([self.indices, indices + self.shown], axis=1)
        order = np.argsort(distances, axis=1, kind="stable")[:, : self._k]
        self.distances = np.take_along_axis(distances, order, axis=1)
        self.indices = np.take_along_axis(indices, order, axis=1)
        self.shown += len(block)
