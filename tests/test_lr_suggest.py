import math
import random
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evacli.errors import NoSuggestion
from evacli.lr_finder.suggest import (
    MIN_STEPS,
    RULES,
    bottom,
    foot,
    halfway,
    minimum_over_ten,
    onset,
    reason_to_stop,
    rules_for,
    slide,
    smooth,
    steep,
    suggest,
    valley,
)

LOSS = st.floats(-1e6, 1e30, allow_nan=False)


def decades(low: float, high: float, n: int) -> list[float]:
    return [10 ** (low + (high - low) * i / max(n - 1, 1)) for i in range(n)]


@st.composite
def curves(draw, losses=LOSS, shortest=2):
    losses = draw(st.lists(losses, min_size=shortest, max_size=150))
    low = draw(st.floats(-9, 0))
    span = draw(st.floats(0.5, 9))
    if draw(st.booleans()):
        return decades(low, low + span, len(losses)), losses
    return list(np.linspace(10**low, 10 ** (low + span), len(losses))), losses


def training_curve(rate: float) -> float:
    """Flat, then a fall of 1.5 nats around 1e-2, then an explosion above 1."""
    return 2.3 - 1.5 / (1 + math.exp(-3 * (math.log10(rate) + 2))) + max(0.0, rate - 1) ** 2


# -- smoothing and stopping --------------------------------------------------------------------------------------------


def test_smoothing_is_the_bias_corrected_average_that_pandas_computes():
    losses = [3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0]
    expected = pd.Series(losses).ewm(alpha=0.02, adjust=True).mean()
    assert smooth(losses) == pytest.approx(list(expected))


def test_a_constant_loss_is_smooth_from_its_first_step():
    assert smooth([2.5] * 20) == pytest.approx([2.5] * 20)


@pytest.mark.parametrize(
    ("losses", "reason"),
    [
        ([], None),
        ([2.3, 2.2, 2.1], None),
        ([2.3, 2.3, 30.0], "diverged"),
        ([2.3, math.nan], "not finite"),
        ([2.3, math.inf], "not finite"),
        ([math.nan], "not finite"),
        ([1.0, 4.0], None),  # the average has reached 2.5 only
    ],
)
def test_a_sweep_stops_when_the_loss_explodes_or_is_not_finite(losses, reason):
    assert reason_to_stop(losses) == reason


# -- the rules on curves with a known answer ---------------------------------------------------------------------------


def test_valley_is_two_thirds_along_the_only_descent():
    rates = decades(-6, 0, 61)
    losses = [2.0] * 30 + [2.0 - 0.1 * i for i in range(16)] + [3.0] * 15
    assert valley(rates, losses) == pytest.approx(rates[30] ** (1 / 3) * rates[45] ** (2 / 3))


def test_valley_steps_over_bumps():
    rates = decades(-3, 0, 10)
    bumpy = [9.0, 8.0, 8.5, 7.0, 7.5, 6.0, 5.0, 5.5, 20.0, 30.0]
    assert valley(rates, bumpy) == pytest.approx(rates[0] ** (1 / 3) * rates[6] ** (2 / 3))


@given(st.lists(st.integers(0, 9), min_size=1, max_size=9))
def test_valley_finds_a_longest_falling_subsequence(losses):
    rates = decades(-3, 0, len(losses) + 1)[: len(losses)]
    # The definition, by brute force over all subsequences: which (first, last) a longest one can have.
    spans, longest = {0: {(0, 0)}}, 0
    for bits in range(1, 2 ** len(losses)):
        chosen = [i for i in range(len(losses)) if bits >> i & 1]
        if all(losses[a] > losses[b] for a, b in pairwise(chosen)):
            spans.setdefault(len(chosen), set()).add((chosen[0], chosen[-1]))
            longest = max(longest, len(chosen))
    if longest == 1:
        assert valley(rates, losses) is None
    else:
        answers = [rates[first] ** (1 / 3) * rates[last] ** (2 / 3) for first, last in spans[longest]]
        assert any(valley(rates, losses) == pytest.approx(answer) for answer in answers)


def test_steep_is_where_a_logistic_fall_is_steepest():
    rates = decades(-6, 1, 141)
    losses = [2.3 - 1.5 / (1 + math.exp(-3 * (math.log10(rate) + 2))) for rate in rates]
    assert steep(rates, losses) == pytest.approx(1e-2, rel=0.1)


def test_steep_measures_along_the_logarithm_in_a_linear_sweep_too():
    rates = list(np.linspace(1e-4, 1, 2000))
    losses = [2.3 - 1.5 / (1 + math.exp(-3 * (math.log10(rate) + 2))) for rate in rates]
    assert steep(rates, losses) == pytest.approx(1e-2, rel=0.1)


def test_minimum_over_ten():
    rates = decades(-4, 1, 51)
    losses = [(math.log10(rate) - 0) ** 2 for rate in rates]
    assert minimum_over_ten(rates, losses) == pytest.approx(0.1)


def test_a_tenth_of_the_minimum_below_the_sweep_is_no_suggestion():
    rates = decades(-4, 1, 51)
    assert minimum_over_ten(rates, [1.0 + i for i in range(51)]) is None
    assert minimum_over_ten(rates, [abs(i - 5) for i in range(51)]) is None


def test_slide_ends_where_the_explosion_no_longer_bends_the_fall():
    rates = decades(-4, 1, 101)
    # A straight fall in log(rate) up to 0.1, a rise above: the highest interval on the fall ends at 0.1.
    losses = [-math.log(rate) if rate <= 0.1 * 1.0001 else 50 * math.log(rate / 0.1) - math.log(0.1) for rate in rates]
    assert slide(rates, losses) == pytest.approx(0.1 / 10**1.2, rel=0.15)


def test_slide_on_a_curve_that_only_rises_is_none():
    assert slide(decades(-4, 1, 101), [0.1 * i for i in range(101)]) is None


def test_foot_is_where_all_but_15_percent_of_the_fall_is_over():
    rates = decades(-6, 0, 601)
    # Of a fall from 2 to 0 in log(rate), 15 % are left where 1 + (rate / 1e-3)^2 is 1 / 0.15.
    losses = [2 / (1 + (rate / 1e-3) ** 2) for rate in rates]
    assert foot(rates, losses) == pytest.approx(1e-3 * (1 / 0.15 - 1) ** 0.5, rel=0.03)


def test_foot_hardly_moves_with_a_lucky_batch_on_the_bottom():
    rates = decades(-6, 0, 61)
    losses = [2 / (1 + (rate / 1e-4) ** 2) for rate in rates]
    early, late = ([loss - 0.02 * (i == lucky) for i, loss in enumerate(losses)] for lucky in (50, 60))
    assert minimum_over_ten(rates, late) == pytest.approx(10 * minimum_over_ten(rates, early))
    assert foot(rates, late) == pytest.approx(foot(rates, early))


def test_foot_is_lower_for_an_optimizer_that_remembers_ten_steps():
    rates = decades(-6, 0, 61)
    losses = [2 / (1 + (rate / 1e-3) ** 2) for rate in rates]
    assert foot(rates, losses, inertia=0.9) == pytest.approx(foot(rates, losses) / 10**0.5)
    assert foot(rates[20:], losses[20:], inertia=1 - 1e-6) is None


def test_inertia_moves_no_other_rule():
    rates = decades(-7, 1, 100)
    plain, heavy = (suggest(rates, [training_curve(rate) for rate in rates], rules_for(m)) for m in (0.0, 0.9))
    assert [rule for rule in RULES if plain[rule] != heavy[rule]] == ["foot"]
    assert list(plain) == list(RULES)


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_no_rule_makes_up_a_rate_for_a_curve_that_only_rises(rule):
    assert rule(decades(-7, 1, 85), [2.0 + 0.01 * i for i in range(85)]) is None


@given(curves())
def test_every_rule_answers_with_a_rate_of_the_sweep_or_none(curve):
    rates, losses = curve
    for rule in [*RULES.values(), *rules_for(0.9).values()]:
        found = rule(rates, losses)
        assert found is None or rates[0] <= found <= rates[-1]


# -- bottom, which reads the curve itself -----------------------------------------------------------------------------


def test_bottom_is_the_middle_of_the_lowest_fifth():
    rates = decades(-7, 1, 801)
    # Two logistic slopes in log(rate), down around 1e-3 and up around 1: each has a fifth left where its exponent is
    # ln 4, and between them lies their middle.
    losses = [2 - 2 / (1 + (1e-3 / rate) ** 2) + 2 / (1 + (1 / rate) ** 2) for rate in rates]
    assert bottom(rates, losses) == pytest.approx(math.sqrt(1e-3 * 2 * 1 / 2), rel=0.05)


@pytest.mark.parametrize(
    "losses", [[2.3] * 100, [2.3 + 0.01 * i for i in range(100)], [2.0 - 0.05 * i for i in range(24)]]
)
def test_bottom_has_no_answer_for_a_curve_that_never_falls_or_is_too_short(losses):
    assert bottom(decades(-7, 1, len(losses)), losses) is None


@given(curves(losses=st.floats(width=32), shortest=0))
def test_bottom_is_a_rate_of_the_sweep_or_none(curve):
    rates, losses = curve
    found = bottom(rates, losses)
    assert found is None or rates[0] * 0.999 <= found <= rates[-1] * 1.001


def test_halfway_is_between_what_is_read_and_what_is_customary_and_in_the_sweep():
    assert halfway(0.4, 0.1, (1e-7, 10)) == pytest.approx(0.2)
    assert halfway(None, 0.1, (1e-7, 10)) == pytest.approx(0.1)
    assert halfway(0.4, 0.1, (1e-7, 0.15)) == 0.15


# -- suggest -----------------------------------------------------------------------------------------------------------


def test_all_rules_suggest_rates_on_the_fall_of_a_typical_curve():
    rates = decades(-7, 1, 100)
    losses = []
    for rate in rates:
        losses.append(training_curve(rate))
        if reason_to_stop(losses):
            break
    suggestions = suggest(rates, losses)
    assert set(suggestions) == set(RULES)
    for found in suggestions.values():
        assert found is not None
        assert 1e-3 < found < 1


def test_too_few_steps_are_refused_with_their_number():
    with pytest.raises(NoSuggestion, match="Only 24 learning rates"):
        suggest(decades(-7, 1, 24), [2.0 - 0.05 * i for i in range(24)])


def test_steps_after_a_loss_that_is_not_finite_do_not_count():
    losses = [3.0 - 0.05 * i for i in range(40)]
    losses[20] = math.nan
    with pytest.raises(NoSuggestion, match="Only 20"):
        suggest(decades(-7, 1, 40), losses)


@pytest.mark.parametrize("losses", [[2.3] * 100, [2.3 + 0.01 * i for i in range(100)]], ids=["flat", "rising"])
def test_a_curve_that_never_falls_is_refused(losses):
    with pytest.raises(NoSuggestion, match="never falls"):
        suggest(decades(-7, 1, 100), losses)


def test_noise_is_hardly_ever_taken_for_a_fall():
    refused = 0
    for seed in range(300):
        noise = random.Random(seed)
        try:
            suggest(decades(-7, 1, 100), [2.3 + noise.gauss(0, 0.1) for _ in range(100)])
        except NoSuggestion:
            refused += 1
    assert refused >= 290


@given(curves(losses=st.floats(width=32), shortest=0))
def test_suggest_answers_with_rates_of_the_sweep_or_refuses(curve):
    rates, losses = curve
    try:
        suggestions = suggest(rates, losses)
    except NoSuggestion:
        return
    assert len(losses) >= MIN_STEPS
    for found in suggestions.values():
        assert found is None or (math.isfinite(found) and rates[0] <= found <= rates[-1])


@given(curves())
def test_suggesting_twice_gives_the_same(curve):
    def answer():
        try:
            return suggest(*curve)
        except NoSuggestion as e:
            return e.message

    assert answer() == answer()


def test_onset_is_where_a_tenth_of_the_fall_is_over():
    rates = decades(-6, 0, 601)
    # A logistic fall around 1e-3: nine tenths are left where its exponent is -ln 9.
    losses = [2 / (1 + (rate / 1e-3) ** 2) for rate in rates]
    assert onset(rates, losses) == pytest.approx(1e-3 * (1 / 9) ** 0.5, rel=0.03)
    assert onset(rates, [2.5, *losses[1:]]) < onset(rates, losses)


@given(curves())
def test_onset_is_a_rate_of_the_sweep_before_its_lowest_loss(curve):
    rates, losses = curve
    assert rates[0] <= onset(rates, losses) <= rates[losses.index(min(losses))]
