"""The study in examples/: the rules of other projects and the arithmetic of regret."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "examples"))

import lr_regret_table
import rival_lr_rules

RATES = [10 ** (-7 + 8 * i / 99) for i in range(100)]


# -- what other projects would suggest ---------------------------------------------------------------------------------


def test_fastai_goes_half_of_the_longest_fall_behind_its_start():
    losses = [2.0 + 0.001 * i for i in range(40)] + [2.0 - 0.02 * i for i in range(1, 61)]
    # The average falls from step 40 to the last one kept, 94: with step 39 that is 56 losses, and 18 + 9 steps.
    assert rival_lr_rules.fastai_valley(RATES, losses) == RATES[94 - 56 + 18 + 9]


def test_keras_lr_finder_takes_the_end_of_the_steepest_twenty_steps():
    losses = [2.0] * 50 + [2.0 - 0.05 * i for i in range(1, 21)] + [1.0] * 30
    assert rival_lr_rules.keras_lr_finder(RATES, losses) == RATES[69]


def test_torch_lr_finder_takes_the_steepest_step_of_its_average():
    losses = [2.0] * 50 + [1.0] * 50
    assert rival_lr_rules.torch_lr_finder(RATES, losses) == RATES[50]


@pytest.mark.parametrize("rule", rival_lr_rules.RIVALS.values(), ids=rival_lr_rules.RIVALS)
def test_no_rival_looks_beyond_the_explosion_at_which_it_would_have_stopped(rule):
    losses = [2.0] * 40 + [2.0 - 0.05 * i for i in range(1, 21)] + [1000.0] * 20
    assert rule(RATES, [*losses, *[500.0 - 20 * i for i in range(20)]]) == rule(RATES, losses)


def test_lightning_takes_the_steepest_fall_along_the_rate_itself():
    # Two equal falls of the average: along the rate, the earlier one is far steeper.
    losses = [4.0] * 30 + [3.0] * 30 + [2.0] * 40
    assert 29 <= RATES.index(rival_lr_rules.lightning(RATES, losses)) <= 31


def test_fastai_takes_a_tenth_of_the_lowest_and_the_steepest_step():
    losses = [2.0] * 50 + [2.0 - 0.05 * i for i in range(1, 21)] + [1.0] * 10 + [1.0 + 0.5 * i for i in range(20)]
    average = pd.Series(losses).ewm(alpha=0.02, adjust=True).mean().to_numpy()[10:-5]
    assert rival_lr_rules.fastai_minimum(RATES, losses) == pytest.approx(RATES[10 + average.argmin()] / 10)
    assert rival_lr_rules.fastai_steep(RATES, losses) == RATES[10 + np.diff(average).argmin()]


def test_fastai_slides_down_to_where_both_ends_of_an_interval_fall_alike():
    fall = [3.0 - 0.02 * i for i in range(70)]
    assert rival_lr_rules.fastai_slide(RATES, [*fall, *[fall[-1] + 0.3 * i for i in range(30)]]) in RATES[40:70]


# -- the arithmetic ----------------------------------------------------------------------------------------------------

CELL = lr_regret_table.Accuracies(
    {0.01: {1: 40.0, 2: 44.0}, 0.1: {1: 50.0, 2: 46.0}, 1.0: {1: 44.0, 2: 47.0}, 10.0: {1: 10.0}}
)


def test_each_seed_judges_what_the_other_chose():
    # Seed 2 finds 1 best, which has 44 with seed 1; seed 1 finds 0.1 best, which has 46 with seed 2.
    assert CELL.judged == (44 + 46) / 2
    assert (CELL.best(), CELL.mean(0.1)) == (0.1, 48.0)
    assert CELL.floor == 48 - 45


def test_excess_is_what_a_suggestion_costs_beyond_the_floor():
    assert CELL.excess([0.1]) == 45 - 48
    assert CELL.excess([0.01, 1.0]) == 45 - (42 + 45.5) / 2


def test_between_rates_accuracy_is_interpolated_along_the_logarithm_and_far_outside_it_is_guessing():
    assert CELL.at(0.1 * 10**0.5) == pytest.approx((48 + 45.5) / 2)
    assert [CELL.at(lr) for lr in (1e-3, 0.009, 12.0, 100.0)] == [10.0, 42.0, 10.0, 10.0]


def test_promising_are_the_rates_near_the_best():
    assert CELL.promising(6.5) == [0.01, 0.1, 1.0]
    assert CELL.promising(3) == [0.1, 1.0]


def test_the_table_has_every_rule_and_both_halves():
    cells = {"a": CELL, "b": CELL}
    rates = {"quick": 0.1, "normal": 0.1, "thorough": 0.1, "customary": 0.01}
    rows = [{"cell": c, "rule": r, "lr": str(lr), "steps": "99"} for c in cells for r, lr in rates.items()]
    text = lr_regret_table.tables({"seen": ["a"], "unseen": ["b"]}, cells, rows)
    assert "| customary | 3.00 | 3.00 | 3.00 | 3.00 |" in text
    assert "| **--effort quick** (99 steps) | -3.00 | -3.00 | -3.00 | -3.00 |" in text
    assert "| seen | a | 48.0 % at 0.1 | 3.0 |" in text
