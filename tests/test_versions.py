import ast
import os
import sys
from pathlib import Path

import pytest

from evacli.run import versions


def test_what_an_earlier_version_did_not_note_counts_as_the_same() -> None:
    now = {"keras": "3.15", "threads": "2", "switches": "none"}
    assert versions.differences({"keras": "3.15"}, now) == []
    assert versions.differences({"keras": "3.14"}, now) == ["keras 3.14 -> 3.15"]


def test_cores_do_not_matter_where_the_threads_are_known() -> None:
    before, now = (
        {"threads": "2", "cores": "2", "usable cores": "2"},
        {"threads": "2", "cores": "8", "usable cores": "1"},
    )
    assert versions.differences(before, now) == []
    assert versions.differences({"cores": "2"}, now) == ["cores 2 -> 8"]
    assert versions.differences(before | {"threads": "4"}, now) == ["threads 4 -> 2"]


def test_only_switches_of_libraries_are_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_VAR_password", "secret")  # of Terraform
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    monkeypatch.setenv("ONEDNN_VERBOSE", "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert versions._switches() == "OMP_NUM_THREADS=1 ONEDNN_MAX_CPU_ISA=AVX2"


@pytest.mark.parametrize(("stored", "threads"), [("3", "3"), ("99999", "5"), ("x", "5"), ("0", "5"), ("", "5")])
def test_threads_are_those_that_the_run_began_with(monkeypatch: pytest.MonkeyPatch, stored: str, threads: str) -> None:
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "5")
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    versions.keep_threads({"threads": stored})
    assert os.environ["TF_NUM_INTRAOP_THREADS"] == threads
    monkeypatch.setitem(sys.modules, "tensorflow", sys)  # as in a notebook
    versions.keep_threads({"threads": "7"})
    assert os.environ["TF_NUM_INTRAOP_THREADS"] == threads


def test_no_docstring_has_what_python_3_13_cannot_read() -> None:
    """It makes UTF-8 of each, in which there is no lone surrogate, and would not import the module."""
    modules = sorted((Path(__file__).parent.parent / "evacli").rglob("*.py"))
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    nodes = [(path, node) for path in modules for node in ast.walk(ast.parse(path.read_bytes()))]
    texts = [(path, ast.get_docstring(node, clean=False) or "") for path, node in nodes if isinstance(node, documented)]
    assert len(texts) > 1000
    assert [path for path, text in texts if any("\ud800" <= letter <= "\udfff" for letter in text)] == []
