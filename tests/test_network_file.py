"""A stranger's run directory may name a file of code; only one that the user has named runs."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from evacli_processes import Evacli

import evacli
from evacli import network_file, paths
from evacli.errors import ModelError
from evacli.run.directory import RunDir

NETWORK = Path(__file__).with_name("tiny_networks.py").read_text(encoding="utf-8")
SIGNED = NETWORK + "\nfrom pathlib import Path\nPath(__file__).with_suffix('.ran').touch()\n"
FAST = ("--batch-size", 32, "--precision", "float32", "--lr", 0.05, "--epochs", 1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where somebody works: with a network file that leaves a mark when it runs."""
    (tmp_path / "net.py").write_text(SIGNED)
    return tmp_path


@pytest.fixture
def _new_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.mark.parametrize(
    ("reference", "file", "function"),
    [
        ("net.py", "net.py", "build"),
        ("a/net.py:tiny", "a/net.py", "tiny"),
        ("C:/net.py", "C:/net.py", "build"),
        ("a:b.py:c", "a:b.py", "c"),
    ],
)
def test_references_name_a_file_and_a_function(reference: str, file: str, function: str) -> None:
    assert paths.is_reference(reference)
    assert paths.split(reference) == (Path(file), function)


@pytest.mark.parametrize("name", ["eva", "resnet9"])
def test_networks_of_evacli_are_always_allowed(name: str, tmp_path: Path) -> None:
    assert not paths.is_reference(name)
    network_file.allow(name, RunDir(tmp_path), named=False)


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("resnet18", "no such network. Did you mean resnet"),
        ("Eva", "no such network. Did you mean eva?"),
        ("net.txt:build", "no such network. Choose one of eva, "),
        ("", "no such network. Choose one of eva, "),
        ("nowhere.py:build", "no such file."),
        ("nowhere.py", "no such file."),
    ],
)
def test_a_network_that_there_is_not_is_refused(name: str, told: str, named: bool, tmp_path: Path) -> None:
    with pytest.raises(ModelError) as e:
        network_file.allow(name, RunDir(tmp_path), named=named)
    assert told in f"{e.value.message} {e.value.fix}"


@pytest.mark.parametrize("workflow", [evacli.train, evacli.lr_find])
@pytest.mark.parametrize("model", ["resnet18", "nowhere.py:build"])
def test_a_mistyped_network_is_told_before_data_is_looked_for(workflow: Any, model: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=model):
        workflow(tmp_path / "run", model=model, data="no such data")
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("_new_user")
def test_a_file_is_allowed_once_it_was_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, other = RunDir(folder / "run"), folder / "other.py"
    shutil.copy(folder / "net.py", other)
    with pytest.raises(ModelError, match=r"asks to run .*net\.py:tiny, a file that you have not named"):
        network_file.allow(f"{folder}/net.py:tiny", run, named=False)
    network_file.allow(f"{folder}/net.py:tiny", run, named=True)
    monkeypatch.chdir(folder)
    network_file.allow("net.py:statistics", run, named=False)  # the same file
    (folder / "net.py").write_text("# edited")
    network_file.allow("net.py", run, named=False)
    with pytest.raises(ModelError, match="other"):
        network_file.allow(str(other), run, named=False)


def test_a_file_that_is_no_longer_there_is_told_with_the_way_out(folder: Path) -> None:
    with pytest.raises(ModelError, match=r"run was made with --model .*gone\.py:tiny, and there is no such file") as e:
        network_file.allow(f"{folder}/gone.py:tiny", RunDir(folder / "run"), named=False)
    assert e.value.fix.endswith("add --model path/to/file.py:build")


@pytest.mark.usefixtures("_new_user")
def test_a_name_without_a_file_allows_nothing(folder: Path) -> None:
    run = RunDir(folder / "run")
    with pytest.raises(ModelError, match="no such file"):
        network_file.allow(f"{folder}/later.py", run, named=True)
    (folder / "later.py").write_text(SIGNED)
    with pytest.raises(ModelError):
        network_file.allow(f"{folder}/later.py", run, named=False)


def test_without_a_home_it_is_asked_each_time(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "file").touch()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "file"))
    run, reference = RunDir(folder / "run"), f"{folder}/net.py"
    network_file.allow(reference, run, named=True)
    with pytest.raises(ModelError):
        network_file.allow(reference, run, named=False)


@pytest.mark.long
def test_a_users_own_file_is_named_once(evacli: Evacli, folder: Path, digits: Path) -> None:
    options = ("--batch-size", 64, "--min-lr", 1e-3, "--precision", "float32")
    found = evacli("lr-find", "--data", digits, "--model", "net.py:tiny", *options, cwd=folder)
    assert found.code == 0, found.err
    for command in ("train", "--epochs", 1), ("gradcam", "--n", 2):
        found = evacli(*command, cwd=folder)
        assert found.code == 0, found.err


def test_a_file_that_only_a_run_directory_names_does_not_run(evacli: Evacli, folder: Path, digits: Path) -> None:
    assert evacli("train", "--data", digits, "--model", "net.py:tiny", *FAST, cwd=folder).code == 0
    (folder / "net.ran").unlink()
    stranger = folder / "unpacked"
    shutil.copytree(folder / "runs", stranger / "runs")
    shutil.move(folder / "net.py", stranger)
    for command in ("report",), ("runs",):
        assert evacli(*command, cwd=stranger).code == 0
    for command in ("train", "--epochs", 2), ("train", "--overwrite"), ("lr-find",):
        found = evacli(*command, cwd=stranger)
        assert (found.code, found.out) == (1, "")
        assert found.err == (
            "error: runs/default asks to run net.py:tiny, a file that you have not named in a command on this machine "
            "before. If you trust that file: add --model net.py:tiny\n"
        )
    assert not (stranger / "net.ran").exists()
    found = evacli("train", "--epochs", 2, "--model", "net.py:tiny", cwd=stranger)
    assert found.code == 0, found.err
    assert (stranger / "net.ran").exists()
