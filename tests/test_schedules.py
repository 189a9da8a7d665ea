import math
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evacli.config import Schedule
from evacli.training import schedules

PROGRESS = st.floats(0, 1)


def test_every_schedule_of_the_configuration_exists() -> None:
    assert {*schedules.SCHEDULES, "plateau"} == set(get_args(Schedule))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("constant", [1, 1, 1, 1, 1]),
        ("step", [1, 1, 0.1, 0.01, 0.01]),
        ("exponential", [1, 10**-0.75, 10**-1.5, 10**-2.25, 1e-3]),
        ("cosine", [1, 0.5 + math.sqrt(0.125), 0.5, 0.5 - math.sqrt(0.125), 0]),
        ("cyclical", [0.1, 0.1, 0.1, 0.1, 0.1]),
        # cos(pi / 3) = 1/2 and cos(2 pi / 3) = -1/2 at thirds of the fall
        ("one-cycle", [0.04, 1, 1e-5 + (1 - 1e-5) * 0.75, 1e-5 + (1 - 1e-5) * 0.25, 1e-5]),
    ],
)
def test_golden_values_at_the_quarters(name: str, expected: list[float]) -> None:
    found = [schedules.factor_at(name, quarter / 4) for quarter in range(5)]
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-15)


def test_cyclical_peaks_between_its_lows() -> None:
    found = [schedules.cyclical(eighth / 8) for eighth in range(9)]
    assert found == pytest.approx([0.1, 1] * 4 + [0.1])


def test_one_cycle_warms_up_by_half_a_cosine() -> None:
    assert schedules.one_cycle(0.125) == pytest.approx((0.04 + 1) / 2)


@given(st.sampled_from(sorted(schedules.SCHEDULES)), PROGRESS)
def test_factors_lie_between_zero_and_the_peak(name: str, progress: float) -> None:
    assert 0 <= schedules.factor_at(name, progress) <= 1 + 1e-12


@given(st.sampled_from(["step", "exponential", "cosine"]), PROGRESS, PROGRESS)
def test_what_falls_never_rises(name: str, one: float, other: float) -> None:
    earlier, later = sorted((one, other))
    assert schedules.factor_at(name, earlier) >= schedules.factor_at(name, later)


@given(PROGRESS, st.floats(0, 1e-4))
def test_one_cycle_has_no_jump(progress: float, step: float) -> None:
    after = min(progress + step, 1)
    assert abs(schedules.one_cycle(after) - schedules.one_cycle(progress)) <= 7 * step + 1e-9


def test_plateau_cuts_after_five_epochs_without_a_new_low() -> None:
    assert schedules.factor_at("plateau", 0.5, []) == 1
    assert [schedules.plateau([1.0] * n) for n in (1, 5, 6, 10, 11)] == [1, 1, 0.5, 0.5, 0.25]
    assert schedules.plateau([1.0, 2.0, 2.0, 2.0, 2.0, 0.9, 2.0, 2.0, 2.0, 2.0]) == 1


def test_plateau_does_not_count_a_trifle_as_a_new_low() -> None:
    assert schedules.plateau([1 - i * 1e-5 for i in range(6)]) == 0.5
    assert schedules.plateau([1 - i * 1e-3 for i in range(60)]) == 1


@given(st.lists(st.floats(0, 10)), st.floats(0, 10))
def test_plateau_never_rises_and_cuts_at_most_once_an_epoch(losses: list[float], loss: float) -> None:
    before, after = schedules.plateau(losses), schedules.plateau([*losses, loss])
    assert after in (before, before * 0.5)
