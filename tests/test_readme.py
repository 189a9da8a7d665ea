import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"


def test_help_texts_in_the_readme_are_what_the_commands_print():
    checked = subprocess.run(
        [sys.executable, "-m", "cogapp", "--check", str(README)], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert checked.returncode == 0, f"{checked.stdout}{checked.stderr} Run: make readme"


def test_the_readme_names_only_files_that_exist():
    links = re.findall(r"\]\((?!http)([^)#]+)\)|src=\"([^\"]+)\"", README.read_text(encoding="utf-8"))
    names = [a or b for a, b in links]
    assert len(names) > 5
    assert [name for name in names if not (ROOT / name).exists()] == []


def test_the_tree_in_the_readme_names_only_modules_that_exist():
    tree = README.read_text(encoding="utf-8").split("## The house")[1].split("```")[1]
    named = set(re.findall(r"(\w+\.py)\b", tree))
    assert named <= {path.name for path in (ROOT / "evacli").rglob("*.py")}
    folders = re.findall(r"^  (\w+)/", tree, flags=re.MULTILINE)
    assert {path.name for path in (ROOT / "evacli").iterdir() if (path / "__init__.py").exists()} == set(folders)
