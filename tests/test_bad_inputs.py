from pathlib import Path

import pytest
from bad_cases import SECRET, Case, prepare
from bad_inputs import DOCUMENT, cases, row
from evacli_processes import Evacli

CASES = {f"{case.group}: {case.title}": case for case in cases()}
ROWS = [line for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
# What is accepted takes a training each; how it is converted is tested where that is done.
ANSWERS = dict(zip(CASES, [line for line in ROWS if not line.startswith(("| input ", "| ---"))], strict=True))


@pytest.fixture(scope="module")
def shared(evacli: Evacli, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shared")
    prepare(evacli, folder)
    return folder


def test_the_document_has_every_case_in_its_order() -> None:
    assert [line.split(" | ")[0].removeprefix("| ") for line in ANSWERS.values()] == [
        case.title.replace("<", "&lt;") for case in CASES.values()
    ]


def beginning(line: str) -> list[str]:
    """The cells of a row, of the answer what does not come from Python or Keras."""
    *cells, answer = line.strip("| ").split(" | ")
    return [*cells, *answer.split(": ")[:2]]


REFUSED = [name for name, line in ANSWERS.items() if " | 0 | " not in line]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.long] * bool(number % 2 or "1.1 GB" in name))
        for number, name in enumerate(REFUSED)
    ],
)
def test_bad_input_is_answered_in_one_line_and_nothing_outside_is_touched(
    evacli: Evacli, shared: Path, tmp_path: Path, name: str
) -> None:
    case: Case = CASES[name]
    ended = case.answer(evacli, shared, tmp_path)
    assert beginning(row(case, ended)) == beginning(ANSWERS[name])
    assert ended.code in (1, 2)
    assert "Traceback" not in ended.err
    assert ended.err.splitlines()[-1].startswith("error: ")
    assert ended.err.count("error: ") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [SECRET, "work"]
    assert (tmp_path / SECRET).read_text() == SECRET
    assert (tmp_path / "work" / "new").exists() == case.group.startswith("Hostile names")  # those trained one before
