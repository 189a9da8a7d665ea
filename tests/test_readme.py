import ast
import inspect
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import typer

import evacli
from evacli import cli
from evacli.config import Config

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
PINNED = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()


@pytest.mark.slow
@pytest.mark.skipif(
    any(f"{name}=={version(name)}" not in PINNED for name in ("typer", "rich")),
    reason="other releases of typer and rich lay the help texts out in their own way",
)
def test_help_texts_in_the_readme_are_what_the_commands_print():
    checked = subprocess.run(
        [sys.executable, "-m", "cogapp", "--check", str(README)], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert checked.returncode == 0, f"{checked.stdout}{checked.stderr} Run: make readme"


def test_pages_name_only_files_that_exist():
    links = [
        (page, a or b)
        for page in PAGES
        for a, b in re.findall(r"\]\((?!http)([^)#]+)\)|src=\"([^\"]+)\"", page.read_text(encoding="utf-8"))
    ]
    assert len(links) > 5
    assert [(page.name, name) for page, name in links if not (page.parent / name).exists()] == []


def test_the_tree_in_the_readme_names_only_modules_that_exist():
    tree = README.read_text(encoding="utf-8").split("## The house")[1].split("```")[1]
    named = set(re.findall(r"(\w+\.py)\b", tree))
    assert named <= {path.name for path in (ROOT / "evacli").rglob("*.py")}
    folders = re.findall(r"^  (\w+)/", tree, flags=re.MULTILINE)
    assert {path.name for path in (ROOT / "evacli").iterdir() if (path / "__init__.py").exists()} == set(folders)


EXAMPLES = sorted((ROOT / "examples").iterdir())
COMMANDS = typer.main.get_command(cli.app).commands
WORKFLOWS = {name: getattr(evacli, name) for name in evacli.__all__ if name not in ("__version__", "recipe")}


def test_the_commands_of_readme_and_scripts_have_the_options_that_they_are_given():
    texts = [*PAGES, *(path for path in EXAMPLES if path.suffix == ".sh"), *(ROOT / "examples").glob("*/README.md")]
    lines = [line for path in texts for line in path.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()]
    given = [match.groups() for line in lines for match in re.finditer(r"evacli ([a-z-]+)([^`\"]*)", line)]
    known = [(name, words) for name, words in given if name in COMMANDS]
    assert len(known) > 20
    for name, words in known:
        options = {option for p in COMMANDS[name].params for option in (*p.opts, *p.secondary_opts)}
        assert set(re.findall(r"(?<!\S)--[a-z][a-z0-9-]*", words)) <= options | {"--help"}, (name, words)


def test_the_scripts_are_scripts():
    for path in EXAMPLES:
        if path.suffix == ".sh":
            assert subprocess.run(["bash", "-n", str(path)], check=False).returncode == 0, path


def test_python_in_readme_and_examples_calls_what_there_is_with_the_settings_that_there_are():
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)
    blocks += [path.read_text(encoding="utf-8") for path in EXAMPLES if path.suffix == ".py"]
    calls = [call for block in blocks for call in ast.walk(ast.parse(block)) if isinstance(call, ast.Call)]
    ours = [(ast.unparse(call.func).removeprefix("evacli."), call.keywords) for call in calls]
    named = [(name, keywords) for name, keywords in ours if name in WORKFLOWS]
    assert len(named) > 8
    for name, keywords in named:
        accepted = {*inspect.signature(WORKFLOWS[name]).parameters, *Config.__struct_fields__}
        assert {keyword.arg for keyword in keywords} - {None} <= accepted, name
