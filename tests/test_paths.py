"""One file has many spellings."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evacli import paths

ANY = st.text(st.characters(exclude_categories=()), max_size=30)  # lone surrogates and null bytes included


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder, which is the current one."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "net.py").touch()
    return tmp_path


@pytest.mark.parametrize(
    "spelled",
    ["net.py", "./net.py", "a/../net.py", "~/net.py", "a//b/../../net.py", "{home}/net.py", "{home}/./net.py"],
)
def test_all_spellings_are_one_file_from_the_root(home: Path, spelled: str) -> None:
    given = spelled.format(home=home)
    assert paths.absolute(given) == str(home / "net.py")
    assert paths.real(given) == os.path.realpath(home / "net.py")
    assert paths.shown(paths.absolute(given)) == "net.py"


def test_a_link_keeps_its_name_and_is_the_file_that_it_leads_to(home: Path) -> None:
    (home / "link").symlink_to(home / "a" / "b")
    assert paths.absolute("link") == str(home / "link")
    assert paths.real("link") == paths.real("a/b")
    # What lies above a link is what lies above its target.
    assert paths.absolute("link/../c") == os.path.realpath(home / "a" / "c")


def test_a_path_is_shown_from_the_current_folder_where_that_is_shorter(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home / "a" / "b")
    assert paths.shown(str(home / "net.py")) == "../../net.py"
    assert paths.shown("/x") == "/x"
    assert paths.shown("as/it/is") == "as/it/is"


def test_without_a_current_folder_paths_stay_as_they_are(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home / "a" / "b")
    (home / "a" / "b").rmdir()
    assert (paths.absolute("x"), paths.shown("/x/y"), paths.real("x")) == ("x", "/x/y", "x")


@given(ANY)
def test_no_text_is_too_strange(text: str) -> None:
    run = Path("/nowhere/runs/a")
    for result in paths.absolute(text), paths.real(text), paths.shown(text), paths.found(text, run):
        assert isinstance(result, str)
    assert paths.absolute(paths.absolute(text)) == paths.absolute(text)
    file, function = paths.split(text)
    assert paths.is_reference(text) == (file.suffix == ".py")
    if paths.is_reference(text):
        assert paths.split(paths.on_file(text, lambda path: f"/folder/{path}")) == (Path(f"/folder/{file}"), function)


def test_a_name_that_no_file_can_have_is_not_looked_for_for_ever() -> None:
    for stored in "x" * 300, "a/" * 2_000_000, "/" + "../" * 1_000_000:
        assert paths.found(stored, Path("/nowhere/runs/a")) in (stored, paths.absolute(stored))


@pytest.mark.parametrize(
    ("stored", "lies"),
    [
        ("images", "images"),  # relative to the folder that train was called in
        ("./images", "images"),
        ("data/images", "data/images"),
        ("../images", "images"),
        ("/old/project/images", "images"),  # the project has moved
        ("/old/project/data/images", "data/images"),
        ("/old/project/runs/a/images", "runs/a/images"),
    ],
)
def test_what_a_run_stored_is_found_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stored: str, lies: str
) -> None:
    run, elsewhere = tmp_path / "project" / "runs" / "a", tmp_path / "elsewhere"
    for folder in run, elsewhere, tmp_path / "project" / lies:
        folder.mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(elsewhere)
    assert paths.found(stored, run) == str(tmp_path / "project" / lies)
    assert paths.found(stored, Path("../project/runs/a")) == str(tmp_path / "project" / lies)


def test_the_current_folder_comes_first_and_more_of_the_path_before_less(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "runs" / "a"
    for folder in run, tmp_path / "images", tmp_path / "data" / "images", tmp_path / "here" / "images":
        folder.mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    assert paths.found("images", run) == str(tmp_path / "here" / "images")
    assert paths.found("/old/data/images", run) == str(tmp_path / "data" / "images")


def test_what_is_nowhere_stays_as_it_was_stored(tmp_path: Path) -> None:
    for stored in "no/such/thing-7f3a", "/no/such/thing-7f3a":
        assert paths.found(stored, tmp_path) == stored


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("/a/b/net.py:build", "net.py:build"),
        ("./net.py", "net.py"),
        ("eva", "eva"),
        ("a/b", "a/b"),
        ("é/n.py:f", "n.py:f"),
    ],
)
def test_a_network_is_called_by_its_files_name(model: str, name: str) -> None:
    assert paths.model_name(model) == name
