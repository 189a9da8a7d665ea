"""A sweep of real trainings, of which one is killed, and its driver too."""

import json
import os
import shlex
import signal
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from evacli_processes import Evacli
from parsed_page import Page
from sweep_torture import TINY_DATA, at_work, driver, losses, wait_for_training

from evacli.run import history, summary
from evacli.run.directory import RunDir
from evacli.sweeping.files import SweepDir

pytestmark = pytest.mark.long

TRIALS, EPOCHS = 6, 4


class Swept(NamedTuple):
    """A sweep that is over, and which trial was killed."""

    files: SweepDir
    killed: int
    result: dict[str, Any]
    err: str


@pytest.fixture(scope="module")
def swept(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Swept:
    folder = tmp_path_factory.mktemp("swept")
    files = SweepDir(folder / "sweep")
    settings = ("--data", digits, *TINY_DATA, "--epochs", EPOCHS, "--val-split", 0.2, "--prune", "none")
    begin = ("--sweep", files.path, "--search", "lr=1e-3..1:log,optimizer=sgdw|adamw", *settings)
    first = driver((*begin, "--trials", TRIALS, "--jobs", 2), fake=False, cwd=folder)
    wait_for_training(files, [first])
    victim = at_work(files)[0]
    (killed,) = (n for n in range(2) if files.trial(n).lock_owner.exists() and owner(files.trial(n)) == victim)
    os.kill(victim, signal.SIGKILL)
    while files.journal.read_text().count('"op_code":6') == 0:  # until that is noted
        assert first.poll() is None, first.stderr.read()
    first.kill()
    first.communicate()
    again = driver(("--sweep", files.path, "--jobs", 2, "--json"), fake=False, cwd=folder)
    out, err = again.communicate()
    assert again.returncode == 0, err
    return Swept(files, killed, json.loads(out), err)


def owner(run: RunDir) -> int:
    return int(run.lock_owner.read_text() or 0)


def test_no_trial_is_lost_or_counted_twice(swept: Swept) -> None:
    assert losses(swept.files, TRIALS, EPOCHS, swept.result) == []
    states = {trial["number"]: (trial["state"], trial["why"]) for trial in swept.result["trials"]}
    assert states.pop(swept.killed) == ("failed", "it was killed by SIGKILL")
    assert set(states.values()) == {("finished", "")}


def test_a_trial_is_what_its_run_says_of_the_validation_images(swept: Swept) -> None:
    for trial in swept.result["trials"]:
        if trial["state"] == "finished":
            rows = history.read_csv(swept.files.trial(trial["number"]).history)
            assert trial["curve"] == {str(row.epoch): row.val_accuracy for row in rows}
            assert trial["val_accuracy"] == pytest.approx(max(row.val_accuracy for row in rows))
            assert summary.read(swept.files.trial(trial["number"])).chosen_by == "validation"


def test_both_command_lines_work(swept: Swept, evacli: Evacli, tmp_path: Path) -> None:
    ended = evacli(*shlex.split(swept.result["command"])[1:], "--json", cwd=tmp_path)
    assert ended.code == 0, ended.err
    told = json.loads(ended.out)
    assert (told["train_images"], told["validation_images"], told["epochs_tested"]) == (200, 0, 1)
    ended = evacli(*shlex.split(swept.result["train_on"])[1:], "--json")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["epochs_done"] == 2 * EPOCHS


def test_the_page_shows_the_trials(swept: Swept) -> None:
    page = Page(swept.files.page.read_text(encoding="utf-8"))
    names = [name for name, _ in page.elements]
    assert names.count("polyline") == 2 * (TRIALS - 1)  # from setting to setting, and by epoch
    assert "script" not in names
    assert "it was killed by SIGKILL" in page.text
    assert " ".join(page.text.split()).count(swept.result["command"]) == 1
