"""Bad inputs, each made of real bytes, and what evacli answers: `make bad-inputs` writes examples/bad-inputs.md.

Each case fills a folder and names the command lines to run in it; the answer to the last one counts.
"""

import os
import sys
import tempfile
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

import bad_data
import bad_runs
from bad_cases import Case, prepare
from evacli_processes import Ended, Evacli

DOCUMENT = Path(__file__).parent.parent / "examples" / "bad-inputs.md"
HEAD = """# Bad inputs, and what evacli answers

Made by `make bad-inputs`: [tests/bad_inputs.py](../tests/bad_inputs.py) makes every one of these inputs and gives it to
the real command. A test repeats those that are refused. TF: whether the answer had to wait for TensorFlow.
"""


def cases() -> list[Case]:
    """All of them."""
    return [*bad_data.cases(), *bad_runs.cases()]


def row(case: Case, ended: Ended) -> str:
    """A line of the document."""
    said = [line for line in ended.err.splitlines() if line.startswith(("error:", "warning:"))]
    text = " ".join(said) if ended.code else " ".join(["accepted", *said])
    cells = case.title, str(ended.code), "yes" if ended.heavy else "no", text
    return "| " + " | ".join(cell.replace("|", "\\|").replace("<", "&lt;") for cell in cells) + " |"


def render(answers: Iterable[tuple[Case, Ended]]) -> str:
    """The document."""
    lines = [HEAD]
    for group, members in groupby(answers, key=lambda answer: answer[0].group):
        lines += [f"\n## {group}\n\n| input | exit code | TF | answer |\n| --- | --- | --- | --- |"]
        lines += [row(case, ended) for case, ended in members]
    return "\n".join(lines) + "\n"


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["XDG_CONFIG_HOME"] = str(folder / "config")
        evacli = Evacli(folder)
        prepare(evacli, folder / "shared")
        answers = []
        for i, case in enumerate(cases()):
            answers.append((case, case.answer(evacli, folder / "shared", folder / str(i))))
            sys.stderr.write(f"{case.group}: {case.title}\n")
        evacli.close()
    DOCUMENT.write_text(render(answers), encoding="utf-8")


if __name__ == "__main__":
    main()
