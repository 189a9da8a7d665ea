"""README and docs/: what they say of commands, options, functions and files is true."""

import ast
import inspect
import re
import subprocess
from importlib.metadata import version
from textwrap import dedent
from typing import Any

import pytest
from cogapp import Cog
from pages import COMMANDS, DOCS, README, ROOT, TEXTS, commands, typed

import evacli as package
from evacli.config import SETTINGS, Config, check

EXAMPLES = sorted((ROOT / "examples").iterdir())
PINNED = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
WORKFLOWS = {name: getattr(package, name) for name in package.__all__ if name not in ("__version__", "recipe")}


def test_the_readme_is_read_standing_and_leads_to_every_page() -> None:
    text = README.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 200
    linked = set(re.findall(r"\]\(docs/([\w-]+\.md)", text.partition("\n## All pages\n")[2]))
    assert {page.name for page in DOCS} == linked


@pytest.mark.skipif(
    any(f"{name}=={version(name)}" not in PINNED for name in ("typer", "rich", "cogapp")),
    reason="other releases of typer describe their options in their own way",
)
def test_pages_quote_options_functions_and_tables_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    quoting = [str(page.relative_to(ROOT)) for page in DOCS if "[[[cog" in page.read_text(encoding="utf-8")]
    assert len(quoting) > 1
    assert Cog().main(["cog", "--check", "-I", "docs", *quoting]) == 0, "Run: make renew"


def test_pages_name_only_files_that_exist() -> None:
    links = [
        (page, a or b)
        for page in TEXTS
        for a, b in re.findall(r"\]\((?!http)([^)#]+)[^)]*\)|src=\"([^\"]+)\"", page.read_text(encoding="utf-8"))
    ]
    assert len(links) > 100
    assert [(page.name, name) for page, name in links if not (page.parent / name).exists()] == []


def test_the_house_names_every_room_and_only_modules_that_exist() -> None:
    tree = (ROOT / "docs" / "how-it-is-built.md").read_text(encoding="utf-8").split("```")[1]
    named = set(re.findall(r"(\w+\.py)\b", tree))
    assert named <= {path.name for folder in ("evacli", "docs") for path in (ROOT / folder).rglob("*.py")}
    folders = re.findall(r"^  (\w+)/", tree, flags=re.MULTILINE)
    assert {path.name for path in (ROOT / "evacli").iterdir() if (path / "__init__.py").exists()} == set(folders)


def understood(name: str, words: list[str]) -> dict[str, Any]:
    """What evacli understands of a command line; it is refused as it would be by evacli."""
    values = COMMANDS[name].make_context(name, list(words)).params
    if set(SETTINGS) <= set(values):
        check({setting: values[setting] for setting in SETTINGS if values[setting] is not None})
    return values


def test_evacli_understands_the_commands_of_the_pages() -> None:
    given = [(page.name, *each) for page in TEXTS for line in typed(page) for each in commands(line)]
    assert len(given) > 60
    assert {name for _, name, _ in given} == set(COMMANDS)
    for page, name, words in given:
        assert understood(name, words), (page, name, words)


def test_options_that_pages_and_scripts_name_are_options_of_their_commands() -> None:
    texts = [*TEXTS, *(path for path in EXAMPLES if path.suffix == ".sh")]
    lines = [line for path in texts for line in path.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()]
    given = [match.groups() for line in lines for match in re.finditer(r"evacli ([a-z-]+)([^`\"]*)", line)]
    known = [(name, words) for name, words in given if name in COMMANDS]
    assert len(known) > 100
    for name, words in known:
        options = {option for p in COMMANDS[name].params for option in (*p.opts, *p.secondary_opts)}
        assert set(re.findall(r"(?<!\S)--[a-z][a-z0-9-]*", words)) <= options | {"--help"}, (name, words)


def test_the_first_five_minutes_are_four_commands_and_say_what_they_leave() -> None:
    """What tests/test_typed_commands.py runs, and looks for."""
    text = README.read_text(encoding="utf-8").partition("## Five minutes with handwritten digits")[2]
    given = [each for line in text.split("```")[1].splitlines() for each in commands(line)]
    assert [name for name, _ in given] == ["lr-find", "train", "gradcam", "report"]
    for file in ("gradcam.png", "report.html"):
        assert f"runs/digits/{file}" in text


def test_the_scripts_are_scripts() -> None:
    for path in EXAMPLES:
        if path.suffix == ".sh":
            assert subprocess.run(["bash", "-n", str(path)], check=False).returncode == 0, path


def test_python_in_pages_and_examples_calls_what_there_is_with_the_settings_that_there_are() -> None:
    texts = [page.read_text(encoding="utf-8") for page in TEXTS if page.name != "CONTRIBUTING.md"]
    blocks = [dedent(block) for text in texts for block in re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)]
    blocks += [path.read_text(encoding="utf-8") for path in EXAMPLES if path.suffix == ".py"]
    calls = [call for block in blocks for call in ast.walk(ast.parse(block)) if isinstance(call, ast.Call)]
    ours = [(ast.unparse(call.func).removeprefix("evacli."), call.keywords) for call in calls]
    named = [(name, keywords) for name, keywords in ours if name in WORKFLOWS]
    assert len(named) > 12
    for name, keywords in named:
        accepted = {*inspect.signature(WORKFLOWS[name]).parameters, *Config.__struct_fields__}
        assert {keyword.arg for keyword in keywords} - {None} <= accepted, name
