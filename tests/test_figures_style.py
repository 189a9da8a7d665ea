"""Pictures are the same whatever the user's matplotlib is set to, and leave it as it was."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest

from evacli.figures.confusion import draw_confusion
from evacli.figures.style import save

PROGRAM = """
import hashlib, sys
from pathlib import Path
import numpy as np
from evacli.figures.confusion import draw_confusion
from evacli.figures.style import save
save(draw_confusion(np.eye(3, dtype=int), ["a", "$b$", "_c"]), Path(sys.argv[1]))
"""
ODD = """
text.usetex: True
savefig.bbox: tight
savefig.format: pdf
savefig.facecolor: black
font.family: No Such Font
backend: no such backend
axes.titlesize: no size
no.such: key
figure.dpi: 30
"""


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("pictures") / "expected.png"
    save(draw_confusion(np.eye(3, dtype=int), ["a", "$b$", "_c"]), path)
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.slow
@pytest.mark.parametrize(
    "variables",
    [
        {"MPLBACKEND": "module://matplotlib_inline.backend_inline"},
        {"MPLBACKEND": "no such backend"},
        {"MPLBACKEND": "svg"},
        {"MATPLOTLIBRC": "odd"},
        {"MATPLOTLIBRC": "garbled"},
    ],
    ids=str,
)
def test_no_setting_of_the_users_matplotlib_changes_a_picture(
    variables: dict[str, str], tmp_path: Path, expected: str
) -> None:
    (tmp_path / "odd").write_text(ODD)
    (tmp_path / "garbled").write_bytes(b"\xff\xfe")
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "drawn.png")]
    found = subprocess.run(command, cwd=tmp_path, env=os.environ | variables, capture_output=True, text=True)
    assert (found.returncode, found.stderr) == (0, "")
    assert hashlib.sha256((tmp_path / "drawn.png").read_bytes()).hexdigest() == expected


def test_settings_of_a_notebook_change_no_picture_and_are_left_alone(tmp_path: Path, expected: str) -> None:
    with matplotlib.rc_context({"text.usetex": True, "savefig.bbox": "tight", "axes.facecolor": "red"}):
        before = {name: matplotlib.rcParams[name] for name in matplotlib.rcParams}
        save(draw_confusion(np.eye(3, dtype=int), ["a", "$b$", "_c"]), tmp_path / "drawn.png")
        assert {name: matplotlib.rcParams[name] for name in matplotlib.rcParams} == before
    assert hashlib.sha256((tmp_path / "drawn.png").read_bytes()).hexdigest() == expected
