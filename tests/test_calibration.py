import numpy as np
import pytest

from evacli import metrics
from evacli.evaluation import Predictions


@pytest.fixture(scope="module")
def said():
    rng = np.random.default_rng(3)
    probabilities = rng.dirichlet([0.4, 0.4, 0.4], 500).astype(np.float32)
    return Predictions(probabilities, rng.integers(0, 3, 500))


@pytest.mark.slow
def test_bins_are_those_of_a_reliability_diagram(said):
    from sklearn.calibration import calibration_curve  # takes seconds, which make test-fast saves

    bins = metrics.calibration(said)
    confidence, right = said.probabilities.max(axis=1), said.predicted == said.labels
    accuracy, mean = calibration_curve(right, confidence, n_bins=15)
    filled = [b for b in bins if b.images]
    assert [b.accuracy for b in filled] == pytest.approx(accuracy)
    assert [b.confidence for b in filled] == pytest.approx(mean, rel=1e-6)
    assert (sum(b.right for b in bins), sum(b.wrong for b in bins)) == (right.sum(), (~right).sum())
    assert bins[0].accuracy is None
    error = sum(b.images * abs(b.accuracy - b.confidence) for b in filled) / 500
    assert metrics.calibration_error(said) == pytest.approx(error)


def test_the_interval_is_wilsons(said):
    p, n, z = said.accuracy, 500, 1.959964
    centre, half = p + z * z / (2 * n), z * np.sqrt(p * (1 - p) / n + (z / (2 * n)) ** 2)
    assert metrics.accuracy_interval(said) == pytest.approx([(centre + s * half) / (1 + z * z / n) for s in (-1, 1)])
