"""What README and docs/ show a reader to type."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import typer

from evacli import cli

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
DOCS = sorted((ROOT / "docs").glob("*.md"))
OTHERS = [ROOT / "CONTRIBUTING.md", ROOT / "benchmarks" / "README.md", *sorted((ROOT / "examples").glob("*/README.md"))]
TEXTS = [README, *DOCS, *OTHERS]
COMMANDS = typer.main.get_command(cli.app).commands


def shown(page: Path) -> Iterator[str]:
    """The lines of a page that stand in a block of code; those that go on with a backslash as one."""
    fenced = False
    for line in page.read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith("    "):
            yield line.strip()


def typed(page: Path) -> Iterator[str]:
    """Those of them that a shell would run with evacli, without the prompt of a shell or notebook."""
    for line in shown(page):
        line = re.sub(r"^(?:[$] |!)", "", line)
        if re.match(r"(?:\w+=\S+ |.*\| )?evacli [a-z]", line) and list(commands(line)):
            yield line


def commands(line: str) -> Iterator[tuple[str, list[str]]]:
    """The commands of evacli in a line for a shell, each with its words."""
    words = shlex.shlex(line, posix=True, punctuation_chars=True)
    words.whitespace_split = True
    for part in " ".join(map(shlex.quote, words)).split(" '|' "):
        name, *rest = shlex.split(part.partition("evacli ")[2]) or [""]
        if name in COMMANDS:
            yield name, rest
