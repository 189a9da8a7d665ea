import json
import re

import pytest
import typer
from tiny_run import HOSTILE, make_data, make_run
from typer.testing import CliRunner

import evacli.data
from evacli.commands.report import report_command
from evacli.errors import RunError


@pytest.fixture(autouse=True)
def _undrawn(monkeypatch):
    """No pictures: what a command prints is not in them."""
    monkeypatch.setattr("evacli.figures.style.save", lambda figure, path: path.touch())


app = typer.Typer()
app.command("report")(report_command)


def call(tmp_path, monkeypatch, data, *options):
    monkeypatch.setattr(evacli.data, "load", lambda *_: data)
    run = make_run(tmp_path / "run", data)
    done = CliRunner().invoke(app, ["--run", str(run.path), *options], catch_exceptions=False)
    assert done.exit_code == 0
    return run, done


def test_it_prints_the_figures_and_where_the_report_is(tmp_path, monkeypatch):
    run, done = call(tmp_path, monkeypatch, make_data())
    assert "top test accuracy" in done.stdout
    assert "(epoch 2, chosen by test accuracy)" in done.stdout
    assert str(run.report) in done.stdout


def test_it_ends_with_what_to_try_next_on_lines_of_their_own(tmp_path, monkeypatch):
    run, done = call(tmp_path, monkeypatch, make_data())
    _, _, end = done.stdout.partition("What to try next:\n")
    reason, command, *_ = end.splitlines()
    assert reason.startswith("1. ")
    assert command.startswith(f"   evacli train --run {run.path}-next --")


def test_it_says_if_images_were_evaluated_with_their_mirror_images(tmp_path, monkeypatch):
    run = make_run(tmp_path / "run", make_data())
    run.config.write_text('{"tta": true, "flip": true}')
    monkeypatch.setattr(evacli.data, "load", lambda *_: make_data())
    done = CliRunner().invoke(app, ["--run", str(run.path)])
    assert "each image together with its mirror image" in done.stdout
    assert re.search(r"best.keras by itself .* \d+\.\d\d% of the test images", done.stdout)


def test_data_that_has_moved_is_named_once(tmp_path, monkeypatch):
    run, _ = call(tmp_path, monkeypatch, make_data(), "--data", str(tmp_path / "moved"))
    assert json.loads(run.config.read_text())["data"] == str(tmp_path / "moved")


def test_with_shifts_it_says_what_they_bring(tmp_path, monkeypatch):
    _, done = call(tmp_path, monkeypatch, make_data(), "--shifts")
    assert "with shifted copies as well" in done.stdout


def test_with_json_stdout_is_the_result_and_nothing_else(tmp_path, monkeypatch):
    run, done = call(tmp_path, monkeypatch, make_data(), "--json")
    result = json.loads(done.stdout)
    assert result["report"] == str(run.report)
    assert [score["name"] for score in result["classes"]] == ["cat", "dog", "frog"]
    assert result["most_confused"][0].keys() == {"true", "predicted", "images", "share"}
    assert done.stderr == ""


@pytest.mark.parametrize("option", [(), ("--json",)])
def test_hostile_class_names_are_printed_harmlessly(tmp_path, monkeypatch, option):
    _, done = call(tmp_path, monkeypatch, make_data(HOSTILE, num_test=60), *option)
    assert "\x1b[31mred" not in done.stdout
    if option:
        assert [score["name"] for score in json.loads(done.stdout)["classes"]] == list(HOSTILE)


def test_an_untrained_run_is_an_error(tmp_path):
    with pytest.raises(RunError, match="no trained model"):
        CliRunner().invoke(app, ["--run", str(tmp_path)], catch_exceptions=False)
