import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_run import HOSTILE, make_summary

from evacli.errors import RunError
from evacli.run import summary
from evacli.run.directory import MAX_DOCUMENT_BYTES, RunDir


@pytest.fixture
def run(tmp_path):
    run = RunDir(tmp_path)
    run.create()
    return run


def test_a_summary_comes_back_as_it_was(run):
    written = make_summary(class_names=HOSTILE, versions={"keras": "3.15.1"})
    summary.write(run, written)
    assert summary.read(run) == written


def test_the_file_is_json_that_others_read(run):
    summary.write(run, make_summary())
    assert msgspec.json.decode(run.summary.read_bytes())["class_names"] == ["cat", "dog", "frog"]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999", "-1"])
@pytest.mark.parametrize("name", ["lr", "seconds", "images_per_second"])
def test_a_number_that_no_training_has_is_refused(run, name, number):
    summary.write(run, make_summary())
    document = json.loads(run.summary.read_text()) | {name: 0}
    run.summary.write_text(json.dumps(document).replace(f'"{name}": 0', f'"{name}": {number}'))
    with pytest.raises(RunError, match=rf"summary.json is not a summary.*{name}"):
        summary.read(run)


def test_a_missing_summary_names_the_command_that_writes_it(run):
    with pytest.raises(RunError, match=r"no summary.json") as e:
        summary.read(run)
    assert "evacli train" in e.value.fix


GARBAGE = [
    b"",
    b"{}",
    b"[]",
    b"null",
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"state": "finished"}',
    b'{"state": 3}',
    b"1" * 5000,
]


@pytest.mark.parametrize("content", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage_is_one_line(run, content):
    run.summary.write_bytes(content)
    with pytest.raises(RunError, match=r"summary.json is not a summary") as e:
        summary.read(run)
    assert "\n" not in str(e.value)


@given(content=st.binary(max_size=200))
def test_any_bytes_are_a_summary_or_one_line(tmp_path_factory, content):
    run = RunDir(tmp_path_factory.getbasetemp())
    run.summary.write_bytes(content)
    with pytest.raises(RunError):
        summary.read(run)


def test_a_huge_file_is_refused(run):
    summary.write(run, make_summary())
    with run.summary.open("r+b") as file:
        file.truncate(MAX_DOCUMENT_BYTES + 1)
    with pytest.raises(RunError, match="larger"):
        summary.read(run)
