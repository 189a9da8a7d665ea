import keras
import numpy as np
import pytest
from evacli.training.pace import Pace
from tiny_run import make_rows

from evacli import config
from evacli.engine import optimizers
from evacli.training.batching import Batching


def pace(num_images: int = 100, base_lr: float | None = None, **settings: object) -> Pace:
    made = config.make({"epochs": 10, "batch_size": 10} | settings)
    weights = [keras.Variable(np.zeros((2, 2), np.float32))]
    return Pace(optimizers.make(made, weights), Batching(made, num_images), 0.5, base_lr)


def rates(found: Pace, steps: range, epoch: int = 0) -> list[float]:
    seen = []
    for step in steps:
        found.set(step, make_rows(epoch))
        seen.append(float(found.optimizer.learning_rate))
    return seen


def test_one_cycle_rises_to_the_peak_while_momentum_falls_and_back() -> None:
    found = pace()
    assert rates(found, range(1)) == pytest.approx([0.5 / 25])
    assert float(found.optimizer.momentum) == pytest.approx(0.95)
    assert max(rates(found, range(100))) == pytest.approx(0.5, rel=1e-3)
    assert float(found.optimizer.momentum) == pytest.approx(0.95)
    rates(found, range(25, 26))
    assert float(found.optimizer.momentum) == pytest.approx(0.85, abs=1e-3)


def test_given_momentum_stays() -> None:
    found = pace(momentum=0.7)
    rates(found, range(30))
    assert found.optimizer.momentum == 0.7


@pytest.mark.parametrize("schedule", ["cyclical", "one-cycle"])
def test_base_rate_is_where_the_schedule_begins(schedule: str) -> None:
    assert rates(pace(schedule=schedule, base_lr=0.1), range(1)) == pytest.approx([0.1])


def test_rate_falls_only_where_the_batch_cannot_grow() -> None:
    found = pace(schedule="step", drop_factor=4, grow_batch=80)
    assert [rates(found, range(1), epoch)[0] for epoch in (4, 5, 8)] == pytest.approx([0.5, 0.5, 0.25])


def test_all_parts_of_an_update_share_its_rate() -> None:
    found = rates(pace(num_images=300, batch_size="full", epochs=3, schedule="cosine"), range(9))
    assert found == pytest.approx([0.5] * 3 + [0.25] * 3 + [0.0] * 3)
