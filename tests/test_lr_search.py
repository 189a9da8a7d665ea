"""The search by short trainings, and what is concluded from a range test."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evacli import config
from evacli.lr_finder.conclude import conclude
from evacli.lr_finder.search import choose, search
from evacli.run.lr_result import Curve, Range, ShortTraining

LIMITS = (1e-7, 10.0)
SWEPT = Range(min_lr=1e-7, max_lr=10.0, steps=100, mode="exp")
CLEAR = Curve(
    learning_rates=SWEPT.learning_rates(),
    losses=[2 - 1 / (1 + (1e-3 / lr) ** 2) + 2 / (1 + (1 / lr) ** 2) for lr in SWEPT.learning_rates()],
)
FLAT = Curve(learning_rates=SWEPT.learning_rates(), losses=[2.3 + 0.2 * (i % 2) for i in range(100)])


def short(lr: float, loss: float | None, began: float | None = 2.3) -> ShortTraining:
    return ShortTraining(lr=lr, steps=33, began=began, loss=loss)


class Valley:
    """A training whose loss is lowest at one rate, and that diverges above another; notes what it was asked."""

    def __init__(self, best: float, diverges: float = math.inf) -> None:
        self.best, self.diverges, self.asked = best, diverges, list[float]()

    def __call__(self, lr: float) -> ShortTraining:
        self.asked.append(lr)
        return short(lr, None if lr >= self.diverges else 1 + 0.3 * math.log10(lr / self.best) ** 2)


# -- the search --------------------------------------------------------------------------------------------------------


def test_around_the_best_it_looks_half_decades_away_and_then_quarters():
    valley = Valley(0.1)
    tried = search(valley, 0.1, 6, LIMITS)
    assert valley.asked == pytest.approx([0.1, 0.1 / 10**0.5, 0.1 * 10**0.5, 0.1 / 10**0.25, 0.1 * 10**0.25])
    assert [one.lr for one in tried] == sorted(valley.asked)


@given(st.floats(-6, 0.9), st.floats(-6, 0.9), st.integers(3, 9))
def test_it_never_takes_more_trainings_than_it_may_nor_leaves_the_sweep(best, guess, most):
    valley = Valley(10**best)
    tried = search(valley, 10**guess, most, LIMITS)
    assert len(valley.asked) == len(tried) <= most
    assert all(LIMITS[0] <= lr <= LIMITS[1] for lr in valley.asked)
    assert all(low.lr < high.lr * 0.99 for low, high in pairwise(tried))


@given(st.floats(-4, 0), st.floats(-1.4, 1.4))
def test_a_guess_that_is_up_to_a_decade_off_is_mended(best, off):
    found = choose(search(Valley(10**best), 10 ** (best + off), 9, LIMITS))
    assert found is not None
    assert abs(math.log10(found.lr) - best) < 0.3


def test_where_all_diverge_it_goes_down_until_one_does_not():
    valley = Valley(1e-3, diverges=5e-3)
    tried = search(valley, 1.0, 9, LIMITS)
    assert min(tried, key=lambda one: math.inf if one.loss is None else one.loss).lr < 5e-3
    assert choose(search(Valley(1e-3, diverges=1e-7), 1.0, 4, LIMITS)) is None


# -- the choice --------------------------------------------------------------------------------------------------------


def test_rates_that_fell_by_all_but_a_tenth_are_alike_and_their_mean_is_taken():
    # The best fell by 1.0: within 0.1 of it are 0.1, 1.0 and the best itself, 0.01 and what diverged are not.
    tried = [short(0.01, 1.41), short(0.1, 1.39), short(0.3, 1.3), short(1.0, 1.395), short(3.0, None)]
    found = choose(tried)
    assert found is not None
    assert found == pytest.approx(((0.1 * 0.3 * 1.0) ** (1 / 3), 0.1, 1.0))


@pytest.mark.parametrize(
    "tried",
    [
        [],
        [short(0.1, None), short(0.3, None, began=None)],
        [short(0.1, 2.4), short(0.3, 2.5)],
        [short(1e-9, 2.29999), short(1e-8, 2.29998)],
    ],
    ids=["none", "all diverge", "none falls", "none moves"],
)
def test_where_nothing_is_learnt_there_is_no_choice(tried):
    assert choose(tried) is None


# -- what is concluded -------------------------------------------------------------------------------------------------


def test_short_trainings_decide_and_the_range_is_told():
    tried = [short(0.01, 2.0), short(0.03, 1.5), short(0.1, 1.51), short(0.3, None)]
    found = conclude(CLEAR, SWEPT, config.make({}), "normal", tried)
    assert (found.rule, found.lr) == ("short trainings", pytest.approx((0.03 * 0.1) ** 0.5))
    assert (found.low, found.high) == (0.03, 0.1)
    assert found.certainty == "Of 4 short trainings those from 0.03 to 0.1 came about equally far."
    assert found.short_trainings == tuple(tried)


def test_both_ends_of_what_was_tried_are_told():
    found = conclude(CLEAR, SWEPT, config.make({}), "normal", [short(0.01, 1.51), short(0.03, 1.5)])
    assert found.certainty.endswith("No lower or higher rate was tried.")


def test_the_end_of_what_was_tried_is_told():
    found = conclude(CLEAR, SWEPT, config.make({}), "normal", [short(0.01, 2.0), short(0.03, 1.5)])
    assert found.certainty == (
        "Of 2 short trainings the one at 0.03 came farthest, those beside it clearly less far. "
        "No higher rate was tried."
    )


def test_where_batches_are_noisier_than_the_fall_the_short_trainings_alone_decide():
    found = conclude(FLAT, SWEPT, config.make({}), "normal", [short(0.01, 2.0), short(0.03, 1.5), short(0.1, 2.1)])
    assert found.lr == pytest.approx(0.03)
    assert found.certainty.startswith("Single batches differ more than the loss of the sweep falls, so short trainings")


def test_a_sweep_alone_is_taken_halfway_to_what_is_customary():
    found = conclude(CLEAR, SWEPT, config.make({"optimizer": "adam"}), "quick")
    # The bottom is from 2e-3, where a fifth of the fall is left, to 0.33, where a fifth of it is gone again.
    middle = math.sqrt(2e-3 * 0.333)
    assert (found.rule, found.lr) == ("bottom", pytest.approx(math.sqrt(middle * 0.002), rel=0.1))
    assert (found.low, found.high) == (0.002, pytest.approx(middle, rel=0.2))
    assert "0.002, which is customary for adam" in found.certainty


def test_a_sweep_that_does_not_tell_leaves_what_is_customary_and_says_so():
    found = conclude(FLAT, SWEPT, config.make({"optimizer": "adam"}), "quick")
    assert (found.rule, found.lr, found.low, found.problem) == ("customary", 0.002, None, None)
    assert "--effort thorough looks closer" in found.certainty


def test_nothing_is_suggested_only_where_nothing_is_learnt():
    found = conclude(FLAT, SWEPT, config.make({}), "normal", [short(0.01, 2.4), short(0.03, 2.6)])
    assert (found.lr, found.low, found.certainty) == (None, None, "")
    assert found.problem is not None
    assert "Nothing is learnt" in found.problem
