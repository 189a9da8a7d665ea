import os
import pickle
import pickletools

import numpy as np
import pytest

from evacli.data import pickles


class Evil:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("protocol", range(6))
def test_runs_no_code(tmp_path, protocol):
    with pytest.raises(ValueError, match=r"mkdir, which no data set needs"):
        pickles.loads(pickle.dumps({"data": Evil(tmp_path / "made")}, protocol))
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"cos\nsystem\n(S'false'\ntR.",
        b"(S'false'\nios\nsystem\n.",
        b"(cos\nsystem\nS'false'\no.",
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"cnumpy\nload\n(S'x'\ntR.",
        b"cnumpy.core.multiarray\nscalar\n.",
        b"cnumpy\nndarray\n)\x81.",
        b"Pid\n.",
        b"\x82\x01.",
        b"\x8f.",
        b"(K\x01K\x02\x91.",
    ],
)
def test_refuses_what_reaches_outside(content):
    with pytest.raises(ValueError, match="which no data set needs"):
        pickles.loads(content)


@pytest.mark.parametrize("protocol", range(5))
@pytest.mark.parametrize("order", ["C", "F"])
def test_reads_numpys_arrays(protocol, order):
    array = np.arange(24, dtype=np.uint8).reshape(4, 6).copy(order)
    np.testing.assert_array_equal(pickles.pixels(pickles.loads(pickle.dumps(array, protocol))), array)


@pytest.mark.parametrize("protocol", range(5))
def test_reads_plain_values(protocol):
    value = {"a": [1, -300, 2**40, "text", None, True, b"bytes"], "b": {}, "c": []}
    read = pickles.loads(pickle.dumps(value, protocol))
    assert read["a"][:6] == value["a"][:6]
    assert pickles.text(read["a"][6]) == "bytes"
    assert (read["b"], read["c"]) == ({}, [])


def test_a_memo_index_of_billions_costs_nothing():
    assert pickles.loads(b"\x80\x02]r\xff\xff\xff\x7f.") == []


def test_nested_tuples_as_keys_are_refused_before_they_are_hashed():
    doubled = b"(" + b"K\x01q\x00" + b"h\x00h\x00\x86q\x00" * 200 + b"K\x01d."
    assert sum(1 for _ in pickletools.genops(doubled)) > 600
    with pytest.raises(ValueError, match="short text"):
        pickles.loads(doubled)


def test_steps_are_limited(monkeypatch):
    monkeypatch.setattr(pickles, "MAX_STEPS", 1000)
    with pytest.raises(ValueError, match="more than 1,000 steps"):
        pickles.loads(b"\x80\x02" + b"]" * 2000 + b".")


def _array(shape, dtype=b"u1", content=b"abcd"):
    return (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01"
        + shape
        + b"cnumpy\ndtype\nU"
        + bytes([len(dtype)])
        + dtype
        + b"K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U"
        + bytes([len(content)])
        + content
        + b"tb."
    )


def test_reads_an_array_as_python_2_wrote_it():
    assert pickles.pixels(pickles.loads(_array(b"K\x02K\x02\x86"))).tolist() == [[97, 98], [99, 100]]


@pytest.mark.parametrize(
    "content",
    [
        _array(b"J\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x86"),
        _array(b"K\x05\x85"),
        _array(b"U\x01x\x85"),
        _array(b"K\x04\x85", dtype=b"O8"),
        _array(b"K\x01\x85", dtype=b"f4"),
        b"\x80\x02cnumpy\nndarray\n(J\xff\xff\xff\x7ftR.",
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n.",
        b"N.",
    ],
)
def test_refuses_arrays_that_are_not_bytes_of_their_shape(content):
    with pytest.raises((ValueError, TypeError)):
        pickles.pixels(pickles.loads(content))
