import io
import json
import sys
import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text

from evacli import console

ANY_TEXT = st.text(st.characters(exclude_categories=()))  # lone surrogates included
HOSTILE = ["[/]", "[red]", "\x1b[31mred", "lone \ud800", "a\rb", "\u202eright to left", "\x00", ":cat:"]


@pytest.fixture(autouse=True)
def _talkative() -> Iterator[None]:
    console.stderr.cache_clear()
    yield
    console.stderr.cache_clear()


@given(ANY_TEXT)
def test_printable_text_holds_nothing_that_a_terminal_obeys(text: str) -> None:
    shown = console.printable(text)
    assert shown.isprintable()
    shown.encode("utf-8")


@given(st.text().filter(str.isprintable))
def test_printable_text_stays_as_it_is(text: str) -> None:
    assert console.printable(text) == text


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_shown_literally(capsys: pytest.CaptureFixture[str], name: str) -> None:
    for say in (console.note, console.warn, console.fail):
        say(name)
        assert console.printable(name) in capsys.readouterr().err
    console.result(console.table("title", ["class"], [[name]]))
    assert console.printable(name) in capsys.readouterr().out


@pytest.mark.parametrize("character", "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
def test_what_turns_the_direction_of_writing_is_shown(character: str) -> None:
    assert console.printable(f"a{character}b") == f"a\\u{ord(character):04x}b"


@pytest.mark.parametrize("say", [console.note, console.warn, console.fail, console.stopped])
def test_a_message_of_megabytes_keeps_its_ends(capsys: pytest.CaptureFixture[str], say: Callable[[str], None]) -> None:
    say(f"file.json has {'x' * 2**23} where a number belongs")
    said = capsys.readouterr().err
    assert len(said) < 10_000
    assert "file.json has xxx" in said
    assert said.endswith("xxx where a number belongs\n")


def test_what_is_to_be_done_about_it_is_cut_as_well(capsys: pytest.CaptureFixture[str]) -> None:
    console.fail("wrong.", "Run " + "\x1b" * 2**20 + " now")
    said = capsys.readouterr().err
    assert len(said) < 20_000
    assert said.endswith(" now\n")


def test_an_encoding_without_the_character_is_no_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii", errors="backslashreplace"))
    console.result("猫")
    sys.stdout.flush()
    assert raw.getvalue() == b"\\u732b\n"


def test_a_closed_stream_is_no_obstacle(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    console.note("note")
    with console.progress_bars() as bars:
        bars.add_task("working", total=1)
    console.result("result")
    assert capsys.readouterr().out == "result\n"


def test_results_go_to_stdout_and_everything_else_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    console.result("result")
    console.note("note")
    console.warn("warning")
    console.fail("failure", "fix")
    console.json({"not": "asked for"})
    out, err = capsys.readouterr()
    assert out == "result\n"
    assert err == "note\nwarning: warning\nerror: failure fix\n"


def test_quiet_keeps_results_and_problems(capsys: pytest.CaptureFixture[str]) -> None:
    console.configure(quiet=True)
    console.result("result")
    console.note("note")
    console.warn("bad")
    console.fail("worse")
    out, err = capsys.readouterr()
    assert out == "result\n"
    assert err == "warning: bad\nerror: worse\n"


def test_json_is_one_document_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    console.configure(json=True)
    console.result("result")
    console.note("note")
    console.json({"accuracy": 0.5, "names": ["猫"]})
    out, err = capsys.readouterr()
    assert json.loads(out) == {"accuracy": 0.5, "names": ["猫"]}
    assert err == ""


def test_json_survives_lone_surrogates(capsys: pytest.CaptureFixture[str]) -> None:
    console.configure(json=True)
    console.json({"class": "lone \ud800"})
    assert json.loads(capsys.readouterr().out) == {"class": "lone \ud800"}


def test_lines_are_not_wrapped(capsys: pytest.CaptureFixture[str]) -> None:
    console.fail("word " * 100)
    assert capsys.readouterr().err.count("\n") == 1


def test_tables_keep_styled_cells_and_align_numbers_to_the_right() -> None:
    out = io.StringIO()
    table = console.table("scores", ["class", "F1"], [["cat", Text("0.5")], ["caterpillar", 12]])
    Console(file=out, width=60).print(table)
    lines = out.getvalue().splitlines()
    assert lines[0].strip() == "scores"
    assert sum("│ 0.5 │" in line for line in lines) == 1
    assert sum("│  12 │" in line for line in lines) == 1


def test_titles_of_tables_are_harmless() -> None:
    out = io.StringIO()
    Console(file=out, width=60).print(console.table("layer x\x1b]0;owned", ["a"], [["b"]]))
    assert "\x1b" not in out.getvalue()


def test_nothing_is_drawn_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert not console.is_terminal()
    assert list(console.track(range(3), "reading")) == [0, 1, 2]
    with console.status("waiting"), console.progress_bars() as bars:
        bars.add_task("working", total=1)
    console.show_cursor()
    assert capsys.readouterr() == ("", "")


def test_without_a_terminal_a_line_says_what_takes_long_and_nothing_what_does_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console, "PATIENCE", 0.01)
    with console.status("reading"):
        while not (told := capsys.readouterr().err):
            time.sleep(0.01)
    assert told == "reading ...\n"
    console.configure(quiet=True)
    with console.status("reading"):
        time.sleep(0.1)
    assert capsys.readouterr() == ("", "")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_what_is_shown_within_a_spinner_takes_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", Terminal())
    starts, stops = [], []
    monkeypatch.setattr("rich.live.Live.start", lambda live, refresh=False: starts.append(live))
    monkeypatch.setattr("rich.live.Live.stop", lambda live: stops.append(live))

    def moving() -> int:
        return len([live for live in set(starts) if starts.count(live) > stops.count(live)])

    with console.status("reading"):
        assert moving() == 1
        with console.status("starting"):
            assert moving() == 1
        assert moving() == 1
        with console.progress_bars():
            assert moving() == 1


def test_a_terminal_shows_progress_unless_silence_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert console.is_terminal()
    list(console.track(range(3), "reading [/] images"))
    assert "reading [/] images" in sys.stderr.getvalue()
    for silence in ({"quiet": True}, {"json": True}):
        console.configure(**silence)
        assert not console.is_terminal()
