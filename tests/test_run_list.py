import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from tiny_run import make_summary
from typer.testing import CliRunner

from evacli import config, runs
from evacli.cli import app
from evacli.errors import RunError
from evacli.run import config_file, summary
from evacli.run.directory import RunDir


def make_run(path: Path, **changes: object) -> RunDir:
    run = RunDir(path)
    run.create()
    config_file.write(run, config.Config(epochs=5))
    if changes:
        summary.write(run, make_summary(**changes))
    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_run(tmp_path / "b" / "nested", state="finished", epochs_done=5, top_accuracy=0.75, lr=0.1)
    make_run(tmp_path / "a", state="failed", epochs_done=0, top_epoch=0, top_accuracy=0.0)
    make_run(tmp_path / "new")
    make_run(tmp_path / "stopped").checkpoint.touch()
    make_run(tmp_path / "torn", state="finished").summary.write_text("{")
    (tmp_path / "no run").mkdir()
    return tmp_path


def test_every_run_is_listed_with_its_state(folder):
    listed = {Path(listing.run).relative_to(folder).as_posix(): listing for listing in runs(folder)}
    states = {name: listing.state for name, listing in listed.items()}
    assert states == {
        "a": "failed",
        "b/nested": "finished",
        "new": "not trained",
        "stopped": "unfinished",
        "torn": "damaged",
    }
    assert listed["b/nested"].top_accuracy == 0.75
    assert listed["a"].top_accuracy is None
    assert (listed["b/nested"].epochs_done, listed["b/nested"].epochs) == (5, 5)


def test_a_run_itself_is_listed_alone(folder):
    assert [listing.state for listing in runs(folder / "a")] == ["failed"]


def test_links_in_a_circle_are_not_followed(folder):
    (folder / "circle").symlink_to(folder)
    assert len(runs(folder)) == 5


@pytest.fixture
def deep(tmp_path, monkeypatch):
    """A folder with a run below more folders than calls may be nested."""
    depth = sys.getrecursionlimit() + 300
    monkeypatch.chdir(tmp_path)
    for _ in range(depth):
        Path("d").mkdir()
        os.chdir("d")
    make_run(Path("run"))
    os.chdir(tmp_path)
    yield depth
    os.chdir("d/" * depth)
    shutil.rmtree("run")
    for _ in range(depth):  # which shutil.rmtree would do by recursion
        os.chdir("..")
        Path("d").rmdir()


def test_folders_may_be_nested_deeper_than_calls(deep):
    assert [len(Path(listing.run).parts) for listing in runs(".")] == [deep + 1]


def test_missing_folder_is_one_error(tmp_path):
    with pytest.raises(RunError, match="is not a folder"):
        runs(tmp_path / "nowhere")


def test_command_shows_the_same(folder):
    shown = CliRunner().invoke(app, ["runs", str(folder)])
    assert shown.exit_code == 0
    for expected in ("nested", "75.00%", "failed", "not trained", "damaged", "5/5"):
        assert expected in shown.output
    listed = json.loads(CliRunner().invoke(app, ["runs", str(folder), "--json"]).stdout)
    assert [listing["state"] for listing in listed] == ["failed", "finished", "not trained", "unfinished", "damaged"]


def test_test_time_augmentation_is_said(tmp_path):
    make_run(tmp_path / "a", state="finished", tta=True)
    assert "test, tta" in CliRunner().invoke(app, ["runs", str(tmp_path)]).output


def test_a_folder_that_cannot_be_read_is_named_and_the_others_are_listed(folder, monkeypatch, capsys):
    look = Path.stat

    def refused(path, **how):
        if path.parent.name == "no run":  # a folder that may be seen, not entered
            raise PermissionError(13, "Permission denied")
        return look(path, **how)

    monkeypatch.setattr(Path, "stat", refused)
    assert len(runs(folder)) == 5
    assert f"{folder}/no run cannot be read: Permission denied." in capsys.readouterr().err.replace("\n", "")
