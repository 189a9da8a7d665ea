import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_run import make_rows

from evacli import config
from evacli.training.batching import Batching
from evacli.training.rate_control import RateControl


def control(num_images: int = 100, base_lr: float | None = None, **settings: object) -> RateControl:
    made = config.make({"epochs": 10, "batch_size": 10} | settings)
    return RateControl(Batching(made, num_images), 0.5, base_lr)


def rates(found: RateControl, steps: range, epoch: int = 0) -> list[float]:
    return [controls.lr for controls in found.controls(steps, make_rows(epoch))]


def test_one_cycle_rises_to_the_peak_while_momentum_falls_and_back() -> None:
    found = control().controls(range(100), [])
    assert found[0].lr == pytest.approx(0.5 / 25)
    assert max(controls.lr for controls in found) == pytest.approx(0.5, rel=1e-3)
    assert [found[step].momentum for step in (0, 25, 99)] == pytest.approx([0.95, 0.85, 0.95], abs=1e-3)


def test_given_momentum_stays() -> None:
    assert {controls.momentum for controls in control(momentum=0.7).controls(range(30), [])} == {None}
    assert {controls.momentum for controls in control(schedule="cosine").controls(range(30), [])} == {None}


@given(st.integers(0, 9), st.integers(0, 9))
def test_what_is_said_of_an_epoch_does_not_depend_on_where_it_is_resumed(epoch: int, first: int) -> None:
    steps = range(10 * epoch, 10 * epoch + 10)
    whole, rest = (control().controls(some, make_rows(epoch)) for some in (steps, steps[first:]))
    assert whole[first:] == rest


def test_an_engine_gets_the_rates_of_many_steps_at_once_as_of_one_after_the_other() -> None:
    found = control(schedule="cyclical")
    single = [found.controls(range(step, step + 1), [])[0].lr for step in range(100)]
    np.testing.assert_array_equal(single, rates(found, range(100)))


@pytest.mark.parametrize("schedule", ["cyclical", "one-cycle"])
def test_base_rate_is_where_the_schedule_begins(schedule: str) -> None:
    assert rates(control(schedule=schedule, base_lr=0.1), range(1)) == pytest.approx([0.1])


@pytest.mark.parametrize("epochs", [1, 3, 10])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"schedule": "cyclical", "cycles": 3},
        {"schedule": "linear", "warmup_epochs": 1},
        {"schedule": "step", "drop_factor": 4, "grow_batch": 80},
        {"schedule": "plateau", "batch_size": "full"},
    ],
)
def test_the_peak_of_an_epoch_is_the_highest_of_its_rates(epochs: int, settings: dict[str, object]) -> None:
    found = control(num_images=300, epochs=epochs, **settings)
    rows, expected = make_rows(epochs), []
    for epoch in range(epochs):
        steps = range(found.batching.steps_before(epoch), found.batching.steps_before(epoch + 1))
        used = [c.lr for c in found.controls(steps, rows[:epoch])]
        rows[epoch] = msgspec.structs.replace(rows[epoch], lr=float(np.float32(used[-1])))
        expected.append(max(used))
    assert found.peaks(rows) == expected


def test_long_epochs_tell_their_peak_as_well() -> None:
    found = control(num_images=100_001, batch_size=1, epochs=2)
    middle, *_, last = rates(found, range(100_000, 200_002))
    rows = [msgspec.structs.replace(row, lr=lr) for row, lr in zip(make_rows(2), (middle, last), strict=True)]
    assert found.peaks(rows) == pytest.approx([0.5, middle], rel=1e-3)


def test_no_peak_is_told_of_an_epoch_that_had_other_settings() -> None:
    *_, last = rates(control(), range(10))
    one, two, *_ = make_rows(10)
    assert control().peaks([msgspec.structs.replace(one, lr=last), two]) == [last, None]


def test_rate_falls_only_where_the_batch_cannot_grow() -> None:
    found = control(schedule="step", drop_factor=4, grow_batch=80)
    assert [rates(found, range(1), epoch)[0] for epoch in (4, 5, 8)] == pytest.approx([0.5, 0.5, 0.25])


def test_all_parts_of_an_update_share_its_rate() -> None:
    found = rates(control(num_images=300, batch_size="full", epochs=3, schedule="cosine"), range(9))
    assert found == pytest.approx([0.5] * 3 + [0.25] * 3 + [0.0] * 3)
