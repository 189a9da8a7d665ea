import json
import math
import subprocess
import sys
from pathlib import Path

import msgspec
import pandas as pd
import pytest
from compared_runs import random_rows, write_run
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.image import imread
from parsed_page import Page
from tiny_run import HOSTILE, make_rows
from typer.testing import CliRunner

from evacli import compare, console
from evacli.cli import app
from evacli.comparing.conclude import conclude
from evacli.comparing.files import Files, default_folder
from evacli.comparing.page import _cards
from evacli.comparing.result import winners
from evacli.comparing.runs import LABEL, distinct_labels, gather
from evacli.errors import ConfigError, RunError
from evacli.figures import comparison as figures

FILES = ["compare.csv", "compare.html", "compare.png"]


@pytest.fixture(autouse=True)
def _away_from_the_repository(tmp_path_factory, monkeypatch):
    # Where runs have no folder in common, a comparison is written to the one it is made in.
    monkeypatch.chdir(tmp_path_factory.mktemp("here"))


@pytest.fixture(autouse=True)
def _undrawn(request, monkeypatch):
    """Empty pictures, since drawing takes seconds; a test of the drawn ones asks for `drawn`."""
    if "drawn" not in request.fixturenames:
        monkeypatch.setattr(figures, "draw_comparison", lambda courses: Figure((figures.WIDTH, figures.HEIGHT)))


@pytest.fixture
def drawn():
    """Real pictures."""


@pytest.fixture
def warnings(monkeypatch):
    said = []
    monkeypatch.setattr(console, "warn", said.append)
    return said


@pytest.fixture
def pair(tmp_path):
    return [write_run(tmp_path / "runs" / name, random_rows(seed)) for seed, name in enumerate(("a", "b"))]


def concluded(paths):
    """What a comparison says, without the time that its pictures take."""
    return conclude(gather(paths), Files("out"))


def names_in(folder):
    return sorted(path.name for path in folder.iterdir() if path.is_file())


# -- the figures ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("validated", "split"), [(False, "test"), (True, "val")])
def test_the_figures_are_those_of_the_histories(tmp_path, validated, split):
    chosen_by = "validation" if validated else "test"
    paths = [write_run(tmp_path / f"{i}", random_rows(i, 3 + i, validated), chosen_by=chosen_by) for i in range(4)]
    comparison = compare(paths)
    table = pd.read_csv(comparison.table)
    assert list(table.run) == list(map(str, paths))
    for path, run, (_, line) in zip(paths, comparison.runs, table.iterrows(), strict=True):
        history = pd.read_csv(path / "history.csv")
        top, last = history.loc[history[f"{split}_accuracy"].idxmax()], history.iloc[-1]
        expected = {
            "epochs_done": len(history),
            "top_accuracy": top[f"{split}_accuracy"],
            "top_epoch": top.epoch,
            "test_accuracy": top.test_accuracy,
            "final_train_accuracy": last.train_accuracy,
            "final_test_accuracy": last.test_accuracy,
            "final_train_loss": last.train_loss,
            "final_test_loss": last.test_loss,
            "gap": last.train_accuracy - last.test_accuracy,
            "seconds": history.seconds.sum(),
            "images_per_second": 12 * len(history) / history.seconds.sum(),
        }
        assert {name: getattr(run, name) for name in expected} == pytest.approx(expected)
        assert line[list(expected)].to_dict() == pytest.approx(expected)
        assert line.chosen_by == run.chosen_by == chosen_by


def test_the_best_of_each_column_is_the_one_that_pandas_finds(tmp_path):
    paths = [write_run(tmp_path / f"{i}", random_rows(i)) for i in range(6)]
    comparison = concluded(paths)
    table = pd.DataFrame(msgspec.to_builtins(comparison.runs)).set_index("label")
    for column in ("top_accuracy", "test_accuracy", "images_per_second"):
        assert [run.label for run in winners(comparison.runs, column)] == [str(table[column].idxmax())]
    for column in ("final_train_loss", "final_test_loss", "seconds"):
        assert [run.label for run in winners(comparison.runs, column)] == [str(table[column].idxmin())]
    assert winners(comparison.runs, "gap") == winners(comparison.runs, "lr") == []


def test_a_training_that_did_not_end_is_not_the_shortest(tmp_path):
    paths = [write_run(tmp_path / "failed", make_rows(1), state="failed"), write_run(tmp_path / "done", make_rows(5))]
    assert [run.label for run in winners(concluded(paths).runs, "seconds")] == ["done"]


def test_what_differs_is_apart_from_what_is_the_same(tmp_path):
    same = {"dataset": "digits", "cutout": 4}
    paths = [
        write_run(tmp_path / "a", settings=same | {"batch_size": 32, "schedule": "step"}, lr=0.1),
        write_run(tmp_path / "b", settings=same | {"batch_size": 64, "schedule": "cosine"}, lr=0.2),
    ]
    comparison = compare(paths)
    assert [run.settings for run in comparison.runs] == [{"batch_size": 32}, {"batch_size": 64}]
    assert [(run.lr, run.schedule, run.optimizer) for run in comparison.runs] == [
        (0.1, "step", "sgdw"),
        (0.2, "cosine", "sgdw"),
    ]
    assert comparison.same.items() >= {"data": "digits", "cutout": 4, "optimizer": "sgdw", "python": "3.11.0"}.items()
    assert comparison.same.keys().isdisjoint({"batch_size", "schedule", "lr"})
    assert list(pd.read_csv(comparison.table).batch_size) == [32, 64]
    text = Page(Path(comparison.page).read_text()).text
    assert "--batch-size" in text
    assert "--cutout" in text


# -- the files -----------------------------------------------------------------------------------------------------


def test_the_page_holds_the_curves_and_needs_nothing_from_outside(pair, drawn):
    comparison = compare(pair)
    page = Page(Path(comparison.page).read_text())
    assert len(page.pictures) == 2
    assert all(picture["alt"] for picture in page.pictures)
    assert all(address.startswith("data:") for address in page.addresses)
    assert {tag for tag, _ in page.elements}.isdisjoint({"script", "iframe", "object", "embed", "form", "base"})
    assert imread(comparison.picture).shape[1] == 1650
    for run in comparison.runs:
        assert f"{run.top_accuracy:.2%}" in page.text
        assert f"{run.final_test_loss:.4f}" in page.text


def test_hostile_names_inject_no_element(tmp_path):
    harmless = [f"run{i}" for i in range(len(HOSTILE))]
    hostile = [name.replace("/", "\N{DIVISION SLASH}")[:80] for name in HOSTILE]
    pages = []
    for folder, names in (("harmless", harmless), ("hostile", hostile)):
        # What is no possible path is refused where config.json is read.
        models = [name.replace("\ud800", "") for name in HOSTILE]
        own = [{"model": f"{models[i] if names is hostile else i}"} for i in range(len(names))]
        paths = [
            write_run(tmp_path / folder / name.encode("utf-8", "backslashreplace").decode(), settings=settings)
            for name, settings in zip(names, own, strict=True)
        ]
        comparison = compare(paths)
        pages.append(Page(Path(comparison.page).read_text()))
        table = pd.read_csv(comparison.table)
        assert len(table) == len(paths)
    assert pages[1].elements == pages[0].elements
    assert HOSTILE[1] in pages[1].text
    assert HOSTILE[9] in pages[1].text
    assert "\x1b" not in pages[1].text
    assert "'=1+1" in table.label.tolist()
    assert "'=1+1" in table.model.tolist()


def test_names_that_a_file_system_has_but_unicode_has_not(tmp_path, drawn):
    paths = [write_run(tmp_path / name) for name in ("a\udcff", "b")]
    comparison = compare(paths)
    assert [run.label for run in comparison.runs] == [r"a\udcff", "b"]
    assert len(pd.read_csv(comparison.table)) == 2


@pytest.mark.parametrize(
    ("runs", "folder"),
    [
        (("runs/a", "runs/b"), "runs"),
        (("runs/one/a", "runs/two/a"), "runs"),
        (("a", "runs/b"), "."),
        (("../beside/a", "../beside/b"), "../beside"),
        (("../beside/a", "runs/b"), "."),
        (("../here/a", "./b"), "."),
    ],
)
def test_the_files_go_where_the_runs_are(tmp_path, monkeypatch, runs, folder):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    assert default_folder(map(Path, runs)).resolve() == (here / folder).resolve()


def test_they_go_where_they_are_told(pair, tmp_path):
    comparison = compare(pair, tmp_path / "new" / "folder")
    assert names_in(tmp_path / "new" / "folder") == FILES
    assert comparison.page == str(tmp_path / "new" / "folder" / "compare.html")
    assert names_in(pair[0].parent) == []


def test_files_of_an_earlier_comparison_are_not_runs(pair):
    first = compare(pair)
    again = compare(sorted(pair[0].parent.iterdir()))
    assert again.runs == first.runs


def test_a_folder_that_cannot_be_is_one_line(pair, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=r"Cannot write to the folder .*file"):
        compare(pair, tmp_path / "file" / "below")


# -- which runs ----------------------------------------------------------------------------------------------------


def test_runs_of_one_name_have_labels_of_their_own(tmp_path):
    paths = [write_run(tmp_path / folder / "default") for folder in ("sgd", "adam")]
    assert [run.label for run in concluded(paths).runs] == ["sgd/default", "adam/default"]


@given(st.lists(st.text(st.characters(exclude_characters="/\0"), min_size=1), min_size=1, max_size=6, unique=True))
def test_labels_are_short_printable_and_distinct(names):
    names = [name for name in names if name not in (".", "..")]
    paths = [*(Path(name) for name in names), *(Path("x" * 60) / f"{i}" / ("y" * 100) for i in range(3))]
    labels = distinct_labels(paths)
    assert len(set(labels)) == len(paths)
    assert all(label.isprintable() and len(label) <= LABEL + len("12: ") for label in labels)


def test_a_run_that_is_named_twice_takes_part_once(pair, tmp_path, warnings):
    (tmp_path / "link").symlink_to(pair[0])
    comparison = concluded([pair[0], pair[1], Path(f"{pair[0]}/"), tmp_path / "link"])
    assert [run.label for run in comparison.runs] == ["a", "b"]
    assert [f"same run as {pair[0]}" in text for text in warnings] == [True, True]


def test_one_run_is_no_comparison(pair):
    for runs in ([pair[0]], [pair[0], pair[0]], str(pair[0])):
        with pytest.raises(ConfigError, match="takes two runs or more") as e:
            compare(runs)
        assert e.value.fix.endswith(f"evacli report --run {pair[0]}")
    with pytest.raises(ConfigError, match="takes two runs or more"):
        compare([])


def test_more_runs_than_can_be_told_apart_are_refused(tmp_path):
    paths = [write_run(tmp_path / f"{i}") for i in range(21)]
    with pytest.raises(ConfigError, match="21 runs are too many"):
        compare(paths)
    assert len(concluded(paths[:20]).runs) == 20


@pytest.mark.parametrize("name", ["nowhere", "x" * 300, "file"])
def test_what_is_no_run_is_named(pair, tmp_path, name):
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="is not a run directory") as e:
        compare([*pair, tmp_path / name])
    assert name in str(e.value)


def test_runs_without_history_are_named_with_what_helps(pair, tmp_path):
    new, other = tmp_path / "new", tmp_path / "other"
    new.mkdir()
    other.mkdir()
    with pytest.raises(RunError) as e:
        compare([pair[0], new, other])
    assert e.value.message == f"No epochs to compare in {new}, {other}."
    assert e.value.fix.endswith(f"evacli train --run {new}")
    assert names_in(pair[0].parent) == []


def test_runs_without_epochs_are_left_out_where_two_remain(pair, tmp_path, warnings):
    new = tmp_path / "new"
    new.mkdir()
    comparison = concluded([new, pair[0], tmp_path / "runs", pair[1]])
    assert [run.label for run in comparison.runs] == ["a", "b"]
    assert warnings == [
        f"{new} has no epochs to compare; it is left out.",
        f"{tmp_path / 'runs'} is not a run, but holds {pair[0]}, {pair[1]}; it is left out.",
    ]


def test_a_folder_of_runs_is_told_from_a_run(pair):
    with pytest.raises(RunError, match=r"is not a run, but holds .*a, .*b"):
        compare([pair[0].parent, pair[0]])


@pytest.mark.parametrize("name", ["history.csv", "summary.json", "config.json"])
def test_a_garbled_run_is_one_line_and_nothing_is_written(pair, name):
    (pair[1] / name).write_text("{")
    with pytest.raises(RunError) as e:
        compare(pair)
    assert str(pair[1] / name) in e.value.message
    assert "\n" not in e.value.message
    assert names_in(pair[0].parent) == []


def test_a_run_without_summary_is_one_line(pair):
    (pair[1] / "summary.json").unlink()
    with pytest.raises(RunError, match=r"b has no summary.json"):
        compare(pair)


def test_a_run_without_summary_is_left_out_where_two_remain(pair, tmp_path, capsys):
    other = write_run(tmp_path / "c")
    (other / "summary.json").unlink()
    assert len(compare([*pair, other]).runs) == 2
    assert "c has no summary.json; it is left out." in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("done", [0, 1])  # the epoch at whose end the network was found unsound may count
def test_a_training_that_failed_in_its_first_epoch_is_shown(tmp_path, warnings, drawn, done):
    paths = [
        write_run(tmp_path / "good"),
        write_run(tmp_path / "bad", [], {"epochs": 9}, state="failed", epochs_done=done),
    ]
    comparison = compare(paths)
    good, bad = comparison.runs
    assert (bad.top_accuracy, bad.final_test_loss, bad.gap, bad.epochs_done, bad.epochs) == (None, None, None, 0, 9)
    assert all(winners(comparison.runs, column) == [good] for column in ("top_accuracy", "final_test_loss", "seconds"))
    assert warnings == ["bad failed after 0 of 9 epochs: its loss was no longer finite."]
    assert "failed 0/9" in Page(Path(comparison.page).read_text()).text
    assert math.isnan(pd.read_csv(comparison.table).top_accuracy[1])


def test_a_training_that_was_not_tested_yet_is_shown(tmp_path, drawn):
    untested = [msgspec.structs.replace(row, test_loss=None, test_accuracy=None) for row in make_rows(3)]
    paths = [write_run(tmp_path / "good"), write_run(tmp_path / "new", untested, {"epochs": 9}, state="unfinished")]
    comparison = compare(paths)
    good, new = comparison.runs
    assert (new.top_accuracy, new.top_epoch, new.final_test_accuracy, new.gap) == (None, 0, None, None)
    assert new.final_train_accuracy == untested[-1].train_accuracy
    assert winners(comparison.runs, "top_accuracy") == [good]


# -- what makes it doubtful ----------------------------------------------------------------------------------------


def test_comparable_runs_give_no_warning(pair, warnings):
    assert compare(pair).notices == warnings == []


def test_runs_on_other_data_are_told(tmp_path, warnings):
    paths = [
        write_run(tmp_path / "a", settings={"dataset": "digits"}),
        write_run(tmp_path / "b", settings={"dataset": "mnist"}, data_fingerprint="f2"),
    ]
    comparison = compare(paths)
    assert len(warnings) == 1
    assert "accuracies cannot be compared" in warnings[0]
    assert "a: digits, 12 + 30 images, fingerprint f1" in warnings[0]
    assert "b: mnist, 12 + 30 images, fingerprint f2" in warnings[0]
    assert warnings[0] in Page(Path(comparison.page).read_text()).text


def test_data_that_changed_under_its_name_is_told(tmp_path):
    comparison = concluded([write_run(tmp_path / "a"), write_run(tmp_path / "b", data_fingerprint="f2")])
    assert ["cannot be compared" in text for text in comparison.notices] == [True]


def test_the_same_data_at_several_places_is_the_same_data(tmp_path):
    """Two runs on the data before and after it moved, one with a part held back."""
    places = [str(tmp_path / place) for place in ("old/images", "new/pictures")]
    settings = [
        {"data": places[0]},
        {"data": places[1], "skip_bad": True},
        {"data": places[1], "skip_bad": True, "val_split": 0.2},
    ]
    paths = [
        write_run(tmp_path / f"{i}", settings=own, data_fingerprint=fingerprint)
        for i, (own, fingerprint) in enumerate(zip(settings, ("f1", "f1", "f2"), strict=True))
    ]
    same = concluded(paths[:2])
    assert (same.notices, same.same["data"]) == ([], "images")
    notices = concluded(paths).notices
    assert [text.startswith("The runs learnt from different parts of the same data") for text in notices] == [True]
    other = concluded([*paths[:2], write_run(tmp_path / "3", settings={"data": places[0]}, data_fingerprint="f3")])
    assert len(other.notices) == 1
    assert (
        "0, 1: images, 12 + 30 images, fingerprint f1; 3: images, 12 + 30 images, fingerprint f3." in other.notices[0]
    )


def test_data_of_one_name_in_two_folders_is_told_apart(tmp_path):
    paths = [
        write_run(tmp_path / name, settings={"data": str(tmp_path / name / "images")}, data_fingerprint=name)
        for name in ("a", "b")
    ]
    assert [run.settings["data"] for run in concluded(paths).runs] == ["a/images", "b/images"]


def test_spellings_of_one_network_file_are_no_difference(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").touch()
    (tmp_path / "link.py").symlink_to("net.py")
    models = ["net.py", "./net.py:build", f"{tmp_path}/net.py:build", "link.py"]
    paths = [write_run(tmp_path / f"{i}", settings={"model": model}) for i, model in enumerate(models)]
    assert concluded(paths).same["model"] == "net.py:build"
    others = ["net.py:wide", "nets/net.py", "eva"]
    paths = [
        write_run(tmp_path / f"of {model.replace('/', '-')}", settings={"model": model})
        for model in ("net.py", *others)
    ]
    shown = [run.settings["model"] for run in concluded(paths).runs]
    assert shown[1].removesuffix("wide") == shown[0].removesuffix("build")
    assert shown[2:] == ["nets/net.py:build", "eva"]
    assert len(set(shown)) == 4


def test_written_accuracies_and_gaps_have_no_noise(tmp_path):
    rows = [msgspec.structs.replace(row, train_accuracy=1.0, test_accuracy=1 - 0.55) for row in make_rows(1)]
    paths = [write_run(tmp_path / name, rows, top_epoch=1) for name in ("a", "b")]
    assert rows[0].test_accuracy == 0.44999999999999996
    first = json.loads(call(*paths, "--json").stdout)["runs"][0]
    assert (first["test_accuracy"], first["final_test_accuracy"], first["gap"]) == (0.45, 0.45, 0.55)
    assert "0.45,1,test,0.45," in (tmp_path / "compare.csv").read_text()
    assert "0.44999999999999996" in (tmp_path / "a" / "history.csv").read_text()


def test_a_seed_is_no_excuse_for_changed_data_where_it_draws_no_images(tmp_path):
    comparison = concluded(
        [write_run(tmp_path / "a"), write_run(tmp_path / "b", None, {"seed": 1}, data_fingerprint="f2")]
    )
    assert ["cannot be compared" in text for text in comparison.notices] == [True]


def test_a_seed_that_draws_no_images_is_not_named(tmp_path):
    seeds = [write_run(tmp_path / f"{seed}", settings={"seed": seed}) for seed in (0, 1)]
    split = write_run(tmp_path / "split", settings={"val_split": 0.1}, data_fingerprint="f2", chosen_by="test")
    assert "(--val-split)" in concluded([*seeds, split]).notices[0]


@pytest.mark.parametrize(
    ("choosing", "shown", "not_shown"),
    [
        (("test", "test"), ["Top test accuracy"], ["Best test accuracy"]),
        (("validation", "validation"), ["Top validation accuracy", "Best test accuracy"], []),
        (("test", "validation"), ["Best test accuracy"], ["Top test", "Top validation"]),
    ],
)
def test_the_cards_say_what_images_an_accuracy_is_of(tmp_path, choosing, shown, not_shown):
    paths = [write_run(tmp_path / f"{i}", chosen_by=split) for i, split in enumerate(choosing)]
    titles = [title for title, _, _ in _cards(concluded(paths).runs)]
    assert [title for title in titles if "accuracy" in title] == shown
    assert not [title for title in titles if title.startswith(tuple(not_shown))]


@pytest.mark.parametrize("settings", [{"limit_train": 6}, {"limit_train": 6, "seed": 3}])
def test_other_training_images_of_the_same_data_are_no_other_data(tmp_path, settings):
    comparison = concluded(
        [write_run(tmp_path / "a"), write_run(tmp_path / "b", settings=settings, data_fingerprint="f2")]
    )
    assert len(comparison.notices) == 1
    assert "different parts of the same data (--limit-train" in comparison.notices[0]


@pytest.mark.parametrize(
    ("settings", "changes"),
    [
        ({"limit_train": 6, "limit_test": 6, "seed": 3}, {}),
        ({"limit_train": 6}, {"test_images": 31}),
        ({"limit_train": 6}, {"class_names": ("x", "y", "z")}),
    ],
)
def test_other_test_images_are_other_data(tmp_path, settings, changes):
    paths = [
        write_run(tmp_path / "a", settings={"limit_test": 6}),
        write_run(tmp_path / "b", settings={"limit_test": 6} | settings, data_fingerprint="f2", **changes),
    ]
    comparison = concluded(paths)
    assert ["cannot be compared" in text for text in comparison.notices] == [True]


def test_epochs_chosen_in_different_ways_are_told_and_not_ranked(tmp_path):
    paths = [
        write_run(tmp_path / "a", random_rows(1)),
        write_run(tmp_path / "b", random_rows(2, validated=True), chosen_by="validation"),
    ]
    comparison = concluded(paths)
    assert ["a: test; b: validation" in text for text in comparison.notices] == [True]
    assert winners(comparison.runs, "top_accuracy") == []
    assert len(winners(comparison.runs, "test_accuracy")) == 1


def test_accuracies_of_mirrored_and_plain_images_are_told_apart(tmp_path):
    plain, mirrored, again = (
        write_run(tmp_path / name, random_rows(i), tta=name != "plain")
        for i, name in enumerate(("plain", "mirrored", "again"))
    )
    told = ["mirror image, worth a little: mirrored, again." in n for n in concluded([plain, mirrored, again]).notices]
    assert told == [True]
    assert concluded([mirrored, again]).notices == []


def test_times_of_other_machines_are_told(tmp_path):
    paths = [write_run(tmp_path / f"{n}", versions={"cores": f"{n}", "machine": "x86_64"}) for n in (2, 8)]
    comparison = concluded(paths)
    assert comparison.notices == ["The times are of different machines: 2: 2 cores of x86_64; 8: 8 cores of x86_64."]


@pytest.mark.parametrize(
    ("state", "said"),
    [("unfinished", "b is unfinished: 3 of 10"), ("failed", "b failed after 3 of 10 epochs")],
)
def test_a_run_that_did_not_end_is_told(tmp_path, state, said):
    paths = [write_run(tmp_path / "a"), write_run(tmp_path / "b", settings={"epochs": 10}, state=state)]
    comparison = concluded(paths)
    assert [said in text for text in comparison.notices] == [True]
    assert [run.shortfall for run in comparison.runs] == ["", f"{state} 3/10"]


# -- the command ---------------------------------------------------------------------------------------------------


def call(*arguments):
    done = CliRunner().invoke(app, ["compare", *map(str, arguments)])
    assert done.exit_code == 0, done.output
    return done


def test_the_command_shows_the_figures_and_marks_the_best(tmp_path):
    paths = [
        write_run(tmp_path / "good", make_rows(4), {"epochs": 4, "batch_size": 16}),
        write_run(tmp_path / "poor", make_rows(2), {"epochs": 9, "batch_size": 32}, state="unfinished"),
    ]
    shown = call(*paths).stdout
    for expected in ("85.00% *", "70.00%", "4/4", "poor unfinished 2/9", "--batch-size", "sgdw", "one-cycle"):
        assert expected in shown
    assert "70.00% *" not in shown
    assert f"{tmp_path / 'compare.html'} shows it all" in shown


def test_many_settings_that_differ_stand_in_rows(tmp_path):
    other = {"model": "resnet9", "cutout": 1, "crop": 1, "seed": 1, "batch_size": 7, "momentum": 0.1}
    shown = call(write_run(tmp_path / "a"), write_run(tmp_path / "b", settings=other)).stdout
    rows = [[cell.strip() for cell in line.split("│")] for line in shown.splitlines() if "│" in line]
    assert ["", "--model", "eva", "resnet9", ""] in rows
    assert ["", "--batch-size", "up-to-128", "7", ""] in rows


def test_with_json_stdout_is_the_result_and_nothing_else(tmp_path):
    rows = [msgspec.structs.replace(row, train_loss=math.inf) for row in make_rows()]
    paths = [write_run(tmp_path / "[a]"), write_run(tmp_path / "$b$", rows)]
    document = json.loads(call(*paths, "--json").stdout, parse_constant=pytest.fail)
    assert [run["label"] for run in document["runs"]] == ["[a]", "$b$"]
    assert document["runs"][1]["final_train_loss"] is None
    assert document["page"] == str(tmp_path / "compare.html")


def test_hostile_names_are_printed_harmlessly(tmp_path):
    paths = [write_run(tmp_path / name) for name in ("[bold]", "\x1b[31mred")]
    shown = call(*paths).stdout
    assert "[bold]" in shown
    assert r"\x1b[31mred" in shown
    assert "\x1b" not in shown


SPY = """
import sys
from evacli.__main__ import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
sys.stderr.write(" ".join(name for name in ("tensorflow", "keras", "sklearn", "scipy", "cv2") if name in sys.modules))
"""


def test_it_does_not_wait_for_tensorflow(pair):
    command = [sys.executable, "-c", SPY, "compare", *map(str, pair)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert names_in(pair[0].parent) == FILES


def with_report(path, wrong, names="{}.png"):
    lines = ["index,file,true_class", *(f"{i},{names.format(i)},cat" for i in wrong)]
    (path / "misclassified.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_runs_are_compared_image_by_image(tmp_path):
    from scipy.stats import binom

    good = with_report(write_run(tmp_path / "good"), [1, 2, 3], HOSTILE[2].replace("{", "") + "{}")
    poor = with_report(write_run(tmp_path / "poor"), [3, *range(10, 19)])
    unreported = write_run(tmp_path / "unreported")
    garbled = write_run(tmp_path / "garbled")
    (garbled / "misclassified.csv").write_bytes(b"index,file\n\xff,a")
    elsewhere = with_report(write_run(tmp_path / "elsewhere", data_fingerprint="f2"), [1])
    found = compare([poor, unreported, good, garbled, elsewhere])
    (pair,) = found.disagreements
    assert (pair.run, pair.best) == ("poor", "good")
    assert pair.only_best == [f"{i}.png" for i in range(10, 19)]
    assert [name[-1] for name in pair.only_run] == ["1", "2"]
    assert pair.p_value == pytest.approx(2 * binom.cdf(2, 11, 0.5))  # as McNemar's exact test is defined
    page = Page(Path(found.page).read_text(encoding="utf-8"))
    assert "9 images that good gets right and poor does not" in page.text
    assert HOSTILE[2] in page.text
    assert ("img", ("src", "onerror")) not in page.elements


def test_without_reports_nothing_is_said_of_single_images(pair):
    found = compare(pair)
    assert found.disagreements == []
    assert "Image by image" not in Path(found.page).read_text(encoding="utf-8")
