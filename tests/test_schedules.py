import math
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evacli import config
from evacli.catalogue import schedules
from evacli.catalogue.schedules import Moment
from evacli.config import Config, Cycle, Schedule
from evacli.training.rate_control import moment

PROGRESS = st.floats(0, 1)


def plateau(losses: list[float]) -> float:
    return schedules.plateau(Moment(0.5, losses))


def factor_at(made: Config, progress: float, **known: Any) -> float:
    return schedules.factor(made.schedule, moment(made, progress, **known))


def factors(count: int, **settings: Any) -> list[float]:
    """The factors at equally spaced moments, the last one included."""
    made = config.make(settings)
    return [factor_at(made, i / (count - 1)) for i in range(count)]


def test_every_schedule_of_the_configuration_exists() -> None:
    assert set(schedules.SCHEDULES) == set(get_args(Schedule))
    assert set(schedules.HEIGHTS) == set(get_args(Cycle))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("constant", [1, 1, 1, 1, 1]),
        ("step", [1, 1, 0.1, 0.01, 0.01]),
        ("linear", [1, 0.75, 0.5, 0.25, 0]),
        ("exponential", [1, 10**-0.75, 10**-1.5, 10**-2.25, 1e-3]),
        ("cosine", [1, 0.5 + math.sqrt(0.125), 0.5, 0.5 - math.sqrt(0.125), 0]),
        ("cyclical", [0.1, 0.1, 0.1, 0.1, 0.1]),
        # cos(pi / 3) = 1/2 and cos(2 pi / 3) = -1/2 at thirds of the fall
        ("one-cycle", [0.04, 1, 1e-5 + (1 - 1e-5) * 0.75, 1e-5 + (1 - 1e-5) * 0.25, 1e-5]),
    ],
)
def test_golden_values_at_the_quarters(name: str, expected: list[float]) -> None:
    assert factors(5, schedule=name) == pytest.approx(expected, rel=1e-12, abs=1e-15)


def test_step_divides_by_what_it_is_told() -> None:
    assert factors(5, schedule="step", drop_factor=5) == pytest.approx([1, 1, 0.2, 0.04, 0.04])


def test_cyclical_peaks_between_its_lows() -> None:
    assert factors(9, schedule="cyclical") == pytest.approx([0.1, 1] * 4 + [0.1])
    assert factors(5, schedule="cyclical", cycles=2) == pytest.approx([0.1, 1, 0.1, 1, 0.1])


def test_triangular2_halves_its_height_every_cycle() -> None:
    found = factors(9, schedule="cyclical", cycle="triangular2")
    assert [peak - 0.1 for peak in found[1::2]] == pytest.approx([0.9, 0.45, 0.225, 0.1125])
    assert found[::2] == pytest.approx([0.1] * 5)


def test_exp_range_falls_to_a_tenth() -> None:
    found = factors(9, schedule="cyclical", cycle="exp-range")
    assert [peak - 0.1 for peak in found[1::2]] == pytest.approx([0.9 * 0.1 ** (i / 8) for i in (1, 3, 5, 7)])


def test_lower_ends_are_shares_of_the_peak() -> None:
    made = config.make({"schedule": "cyclical"})
    assert factor_at(made, 0, low=0.3) == pytest.approx(0.3)
    assert factor_at(config.make({}), 0, low=0.3) == pytest.approx(0.3)


def test_one_cycle_begins_at_a_25th_and_ends_near_zero() -> None:
    first, *_, last = factors(101)
    assert first == pytest.approx(1 / 25)
    assert 0 < last < 1e-4


def test_one_cycle_warms_up_by_half_a_cosine() -> None:
    assert schedules.one_cycle(Moment(0.125)) == pytest.approx((0.04 + 1) / 2)


def test_momentum_moves_against_the_rate() -> None:
    found = [schedules.one_cycle_momentum(Moment(quarter / 4)) for quarter in range(5)]
    assert found == pytest.approx([0.95, 0.85, 0.95 - 0.1 * 0.75, 0.95 - 0.1 * 0.25, 0.95])
    assert schedules.one_cycle_momentum(Moment(0.5, warm_up=0.5)) == pytest.approx(0.85)


def test_warm_up_ends_after_its_epochs() -> None:
    # 2 of 10 epochs, at every epoch
    warmed = factors(11, schedule="cosine", epochs=10, warmup_epochs=2)
    plain = factors(11, schedule="cosine", epochs=10)
    assert warmed[0] == pytest.approx(0.04)
    assert warmed[1] == pytest.approx(plain[1] * 0.52)
    assert warmed[2:] == plain[2:]
    assert factors(11, epochs=10, warmup_epochs=3).index(1.0) == 3
    assert factors(11, epochs=10, warmup_epochs=10)[-1] == 1
    assert factors(11, epochs=10, warmup_epochs=0)[0] == 1


@given(st.sampled_from(sorted(schedules.SCHEDULES)), PROGRESS)
def test_factors_lie_between_zero_and_the_peak(name: str, progress: float) -> None:
    assert 0 <= factor_at(config.make({"schedule": name}), progress) <= 1 + 1e-12


@given(st.sampled_from(["step", "linear", "exponential", "cosine"]), PROGRESS, PROGRESS)
def test_what_falls_never_rises(name: str, one: float, other: float) -> None:
    earlier, later = sorted((one, other))
    made = config.make({"schedule": name})
    assert factor_at(made, earlier) >= factor_at(made, later)


@given(PROGRESS, st.floats(0, 1e-4))
def test_one_cycle_has_no_jump(progress: float, step: float) -> None:
    after = min(progress + step, 1)
    assert abs(schedules.one_cycle(Moment(after)) - schedules.one_cycle(Moment(progress))) <= 7 * step + 1e-9


@given(PROGRESS, st.integers(1, 1000), st.integers(0, 100_000), st.floats(1.5, 20))
def test_growing_the_batch_keeps_the_noise_of_the_steps(share: float, batch: int, room: int, divisor: float) -> None:
    size, factor = schedules.grown_batch(share, batch, batch + room, divisor)
    assert batch <= size <= batch + room
    assert factor / size == pytest.approx(schedules.step(Moment(share, divisor=divisor)) / batch)
    if size < batch + room:
        assert 1 - 1 / size < factor <= 1  # less than one image is rounded off


def test_batch_grows_to_its_bound_then_the_rate_falls() -> None:
    found = [schedules.grown_batch(epoch / 8, 100, 1000, 5.0) for epoch in range(8)]
    assert found == [(100, 1)] * 4 + [(500, 1)] * 2 + [(1000, pytest.approx(0.4))] * 2


def test_plateau_is_one_until_there_are_losses() -> None:
    assert factor_at(config.make({"schedule": "plateau"}), 0.5, losses=[]) == 1


def test_plateau_cuts_after_five_epochs_without_a_new_low() -> None:
    assert [plateau([1.0] * n) for n in (1, 5, 6, 10, 11)] == [1, 1, 0.5, 0.5, 0.25]
    assert plateau([1.0, 2.0, 2.0, 2.0, 2.0, 0.9, 2.0, 2.0, 2.0, 2.0]) == 1


def test_plateau_does_not_count_a_trifle_as_a_new_low() -> None:
    assert plateau([1 - i * 1e-5 for i in range(6)]) == 0.5
    assert plateau([1 - i * 1e-3 for i in range(60)]) == 1


@given(st.lists(st.floats(0, 10)), st.floats(0, 10))
def test_plateau_never_rises_and_cuts_at_most_once_an_epoch(losses: list[float], loss: float) -> None:
    before, after = plateau(losses), plateau([*losses, loss])
    assert after in (before, before * 0.5)


def test_what_warms_up_by_itself_is_not_warmed_up_twice() -> None:
    made = config.make({"schedule": "one-cycle", "epochs": 10, "warmup_epochs": 5})
    assert factor_at(made, 0.0) == pytest.approx(0.04)
    assert factor_at(made, 0.25) == pytest.approx((0.04 + 1) / 2)


def test_a_grown_batch_takes_the_place_of_the_step() -> None:
    at = Moment(0.6, warm_up=0.0)
    assert schedules.factor("step", at, grown=0.7) == 0.7
    assert schedules.factor("step", at) == pytest.approx(0.1)
