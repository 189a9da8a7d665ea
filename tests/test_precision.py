import pytest

from evacli.engine import precision


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
