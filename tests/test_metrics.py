import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evacli.metrics import balanced_accuracy, count_confusions, macro_f1, most_confused, score_classes

NAMES = ("cat", "dog", "frog", "deer")
answers = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60).map(np.array)


@given(answers)
def test_counts_follow_their_definition(pairs):
    counts = count_confusions(pairs[:, 0], pairs[:, 1], 4)
    for true in range(4):
        for predicted in range(4):
            assert counts[true, predicted] == np.sum((pairs == (true, predicted)).all(axis=1))


@given(answers)
def test_scores_follow_their_definitions(pairs):
    labels, predicted = pairs.T
    for i, score in enumerate(score_classes(labels, predicted, NAMES)):
        hits = np.sum((labels == i) & (predicted == i))
        shown, said = np.sum(labels == i), np.sum(predicted == i)
        assert (score.name, score.images) == (NAMES[i], shown)
        assert score.precision == (pytest.approx(hits / said) if said else None)
        assert score.recall == (pytest.approx(hits / shown) if shown else None)
        assert score.f1 == (pytest.approx(2 * hits / (shown + said)) if shown + said else None)


@given(answers)
def test_confusions_are_the_largest_off_the_diagonal_in_order(pairs):
    counts = count_confusions(pairs[:, 0], pairs[:, 1], 4)
    expected = sorted((counts[i, j] for i in range(4) for j in range(4) if i != j and counts[i, j]), reverse=True)
    found = most_confused(counts, NAMES, limit=5)
    assert [c.images for c in found] == expected[:5]
    for c in found:
        i, j = NAMES.index(c.true), NAMES.index(c.predicted)
        assert c.images == counts[i, j]
        assert c.share == pytest.approx(counts[i, j] / counts[i].sum())


def test_without_mistakes_nothing_is_confused():
    assert most_confused(np.diag([3, 4, 0, 5]), NAMES) == []


@pytest.mark.slow
@given(answers)
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true", "ignore:A single label was found")
def test_means_over_classes_are_those_of_scikit_learn(pairs):
    from sklearn.metrics import balanced_accuracy_score, f1_score  # takes seconds, which make test-fast saves

    labels, predicted = pairs.T
    scores = score_classes(labels, predicted, NAMES)
    assert balanced_accuracy(scores) == pytest.approx(balanced_accuracy_score(labels, predicted))
    assert macro_f1(scores) == pytest.approx(f1_score(labels, predicted, average="macro"))


def test_a_rare_class_counts_as_much_as_a_frequent_one():
    labels, predicted = np.array([0] * 99 + [1]), np.zeros(100, int)
    scores = score_classes(labels, predicted, NAMES)
    assert balanced_accuracy(scores) == 0.5
    assert macro_f1(scores) == pytest.approx((2 * 99 / (99 + 100) + 0) / 2)
