"""The study in examples/: the rules of other projects and the arithmetic of regret."""

import sys
from pathlib import Path

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


# -- the arithmetic ----------------------------------------------------------------------------------------------------

ACCURACIES = {"0.01": {1: 40.0, 2: 44.0}, "0.1": {1: 50.0, 2: 46.0}, "1": {1: 44.0, 2: 47.0}}


def test_regret_is_what_the_best_mean_has_more():
    assert [lr_regret_table.regret(ACCURACIES, lr) for lr in ACCURACIES] == [6.0, 0.0, 2.5]


def test_unbiased_regret_lets_each_seed_judge_the_choice_of_the_others():
    # Seed 2 finds 1 best, which has 44 with seed 1; seed 1 finds 0.1 best, which has 46 with seed 2.
    assert lr_regret_table.unbiased_regret(ACCURACIES, "0.1") == ((44 - 50) + (46 - 46)) / 2
    assert lr_regret_table.unbiased_regret(ACCURACIES, "1") == ((44 - 44) + (46 - 47)) / 2


def test_a_rate_that_one_seed_alone_has_tried_is_judged_by_that_one():
    accuracies = ACCURACIES | {"10": {1: 10.0}}
    assert lr_regret_table.regret(accuracies, "10") == 48 - 10
    assert lr_regret_table.unbiased_regret(accuracies, "10") == 44 - 10


def test_runs_are_gathered_by_cell_rate_and_seed():
    runs = [
        {"task": "t", "optimizer": "sgd", "seed": seed, "lr": lr, "accuracy": accuracy}
        for seed, lr, accuracy in (("1", "0.1", "0.5"), ("1", "1", "0.25"), ("2", "1", "0.75"))
    ]
    assert lr_regret_table.by_cell(runs) == {("t", "sgd"): {"0.1": {1: 50.0}, "1": {1: 25.0, 2: 75.0}}}


def test_the_rule_of_a_cell_is_chosen_without_that_cell():
    regrets = {"a": {"x": 9.0, "y": 0.0, "z": 0.0}, "b": {"x": 1.0, "y": 1.0, "z": 1.0}}
    # Without x rule a looks better and costs 9 there; without y or z it is rule b, which costs 1.
    assert lr_regret_table.left_out(regrets, ["a", "b"]) == ((9 + 1 + 1) / 3, {"a", "b"})
