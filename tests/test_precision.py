from pathlib import Path

import numpy as np
import pytest
from engine_room import train, twin
from tiny_run import make_data

from evacli import config
from evacli.engine import precision
from evacli.errors import PrecisionError
from evacli.training.learner import Learner, assemble

NETWORKS = Path(__file__).with_name("awkward_networks.py")


@pytest.mark.parametrize("asked", ["float32", "bfloat16"])
def test_what_is_asked_for_is_not_measured(asked, monkeypatch):
    monkeypatch.setattr(precision, "speedup", lambda: pytest.fail("measured"))
    assert precision.choose(asked) == asked


@pytest.mark.parametrize(
    ("factor", "answer"), [(0.02, "float32"), (1.05, "float32"), (1.1, "bfloat16"), (3, "bfloat16")]
)
def test_bfloat16_has_to_win_clearly(factor, answer, monkeypatch):
    monkeypatch.setattr(precision, "speedup", lambda: factor)
    assert precision.choose("auto") == answer


def test_the_best_of_each_counts_and_the_two_alternate(monkeypatch):
    calls = []
    seconds = {"float32": iter([9, 2, 4, 7, 8]), "bfloat16": iter([3, 5, 1, 6, 8])}

    def measured(step):
        name = step()
        calls.append(name)
        return next(seconds[name])

    monkeypatch.setattr(precision, "_step", lambda dtype: lambda: dtype.name)
    monkeypatch.setattr(precision, "_seconds", measured)
    assert precision.speedup() == 2
    assert calls == ["float32", "bfloat16"] * precision.ROUNDS


def test_this_machine_gets_an_answer():
    assert 0 < precision.speedup() < 1000
    assert precision.choose("auto") in ("float32", "bfloat16")


def trained(network: str, asked: str) -> Learner:
    settings = {"model": f"{NETWORKS}:{network}", "precision": asked, "batch_size": 8, "lr": 0.1}
    learner = assemble(config.make(settings), make_data(num_train=24))
    train(learner, 3)
    return learner


@pytest.fixture
def fast_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "speedup", lambda: 3.0)


@pytest.mark.parametrize("network", ["penalised", "penalised_convolution", "told"])
def test_penalties_and_operations_of_any_type_train_in_bfloat16(network, fast_bfloat16):
    short, exact = trained(network, "auto"), trained(network, "float32")
    assert short.config.precision == "bfloat16"
    for ours, theirs in zip(twin(short).get_weights(), twin(exact).get_weights(), strict=True):
        assert ours == pytest.approx(theirs, abs=0.02)


@pytest.mark.parametrize(("network", "culprit"), [("rotated", "turned"), ("decomposed", "first")])
def test_what_bfloat16_cannot_do_is_trained_in_float32(network, culprit, fast_bfloat16, capsys):
    found = trained(network, "auto")
    assert found.config.precision == "float32"
    told = capsys.readouterr().err
    assert f"layer {culprit} on" in told
    assert told.strip().endswith("So it is trained in float32.")
    # Bit by bit what was had by asking for it.
    for ours, theirs in zip(twin(found).get_weights(), twin(trained(network, "float32")).get_weights(), strict=True):
        assert (ours == theirs).all()


@pytest.mark.parametrize(("network", "culprit"), [("rotated", "turned"), ("decomposed", "first")])
def test_who_insists_on_bfloat16_is_told_the_layer(network, culprit):
    with pytest.raises(PrecisionError, match=f"bfloat16 from its layer {culprit} on: .*bfloat16") as caught:
        trained(network, "bfloat16")
    assert "--precision float32" in caught.value.fix
    assert "\n" not in caught.value.message


def test_trying_out_leaves_the_network_as_it_is():
    learner = trained("penalised", "bfloat16")
    before = [np.array(v) for v in twin(learner).variables]
    precision.try_out(twin(learner), learner.data.train.images.read(np.arange(4)))
    assert all((np.asarray(v) == old).all() for v, old in zip(twin(learner).variables, before, strict=True))
