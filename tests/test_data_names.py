import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evacli.data.names import as_text, from_file

# What a program that knows nothing of UTF-8 makes of the folder that it is given.
PROGRAM = "import os, sys; from evacli.data.names import from_file; print(ascii(from_file(os.listdir(sys.argv[1])[0])))"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="other systems know the encoding of their names")
@pytest.mark.parametrize(
    ("spelled", "expected"),
    [
        ("猫".encode(), "猫"),
        ("Häuser".encode(), "Häuser"),
        (unicodedata.normalize("NFD", "Häuser").encode(), "Häuser"),
        (b"caf\xe9", "caf\udce9"),
        (b"plain", "plain"),
    ],
)
def test_a_folder_has_one_name_in_every_locale(tmp_path, spelled, expected):
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + spelled)).mkdir()
    for utf8 in "0", "1":
        locale = {"LC_ALL": "C", "PYTHONUTF8": utf8, "PYTHONCOERCECLOCALE": "0"}
        command = [sys.executable, "-c", PROGRAM, tmp_path]
        found = subprocess.run(command, env=os.environ | locale, capture_output=True, text=True, check=True)
        assert found.stdout.strip() == ascii(expected)


@given(st.text(st.characters(exclude_categories=())))
def test_any_name_is_taken_and_once_is_enough(name):
    once = from_file(name)
    assert from_file(once) == once


@given(st.text(st.characters(exclude_categories=("Cs",))))
def test_a_composed_name_stays_as_it_is(name):
    composed = unicodedata.normalize("NFC", name)
    assert from_file(composed) == composed


def test_names_are_compared_as_text():
    composed, apart, ascii_locale = "café", unicodedata.normalize("NFD", "café"), "caf\udcc3\udca9"
    assert {as_text(["a", name]) for name in (composed, apart, ascii_locale)} == {("a", composed)}
    assert as_text([composed, "a"]) != as_text(["a", composed])
