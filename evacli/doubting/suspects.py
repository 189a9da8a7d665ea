"""Which labels are suspected to be wrong, by confident learning (Northcutt et al. 2021, arXiv 1911.00068)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evacli.data.types import Split
from evacli.evaluation import Predictions


@dataclass(frozen=True)
class Part:
    """A part of the data that the network has not learnt from.

    Attributes:
        name: "test" or "validation".
        split: its images.
        said: what the network says about them.
        suspects: which labels are suspected, those with the largest margin first.
    """

    name: str
    split: Split
    said: Predictions
    suspects: NDArray[np.int64]


def find(said: Predictions) -> NDArray[np.int64]:
    """Return which labels are suspected to be wrong, those with the largest margin first.

    An image counts as one of another class where the network is as sure of that class as it is, on average, of the
    images labelled so. From these counts follows how many labels of each class should be another, and those are
    suspected for which the other class is more probable by the largest margin.

    Example:
        >>> find(Predictions(np.array([[0.9, 0.1], [0.2, 0.8], [0.1, 0.9], [0.8, 0.2]]), np.array([0, 1, 1, 1])))
        array([3])
    """
    from cleanlab.filter import find_label_issues

    if len(np.unique(said.labels)) < 2:  # which tell nothing of how the network takes one class for another
        return np.empty(0, np.int64)
    # In one process: others would each start the program anew where there is no fork.
    found = find_label_issues(said.labels, said.probabilities, return_indices_ranked_by="normalized_margin", n_jobs=1)
    return np.asarray(found, np.int64)
