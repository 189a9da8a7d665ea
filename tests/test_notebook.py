"""evacli in a notebook: a real kernel is asked, and what it shows is looked at."""

import json
import re
from base64 import b64decode
from io import BytesIO
from pathlib import Path

import pytest
from jupyter_client.manager import start_new_kernel
from parsed_page import Page
from PIL import Image
from tiny_data import TINY

import evacli
from evacli.errors import ConfigError, RunError

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]

SMALL = f'dataset="digits", limit_train=200, limit_test=40, batch_size=32, precision="float32", model={TINY!r}'
FIRST_STEPS = Path(__file__).parent.parent / "examples" / "first-steps.ipynb"


class Notebook:
    """A kernel, which runs one cell after the other."""

    def __init__(self, folder):
        self._manager, self._client = start_new_kernel(kernel_name="python3", cwd=str(folder))

    def run(self, code):
        """Returns the messages that a cell gives: their kinds and contents."""
        seen = []
        self._client.execute_interactive(
            code, output_hook=lambda message: seen.append((message["msg_type"], message["content"])), timeout=None
        )
        return seen

    def shown(self, code):
        """Returns the HTML of the last line of a cell, and what was displayed before it."""
        seen = self.run(code)
        assert not [content["traceback"] for kind, content in seen if kind == "error"]
        (result,) = [content["data"] for kind, content in seen if kind == "execute_result"]
        before = "".join(content["data"]["text/plain"] for kind, content in seen if kind == "display_data")
        return result.get("text/html", result["text/plain"]), before

    def said(self, code):
        """Returns what a cell prints."""
        return "".join(content["text"] for kind, content in self.run(code) if kind == "stream")

    def complete(self, code):
        """Returns what Tab offers at the end of some code."""
        return self._client.complete(code, reply=True)["content"]["matches"]

    def inspect(self, code):
        """Returns what Shift-Tab shows of a name."""
        return self._client.inspect(code, reply=True)["content"]["data"]["text/plain"]

    def close(self):
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    """A kernel that has imported evacli."""
    opened = Notebook(tmp_path_factory.mktemp("notebook"))
    opened.run("import evacli")
    yield opened
    opened.close()


def picture(html):
    found = re.search(r'<img src="data:image/png;base64,([^"]+)"', html)
    return Image.open(BytesIO(b64decode(found[1])))


def test_tab_and_signatures_show_what_there_is_and_load_no_tensorflow(notebook):
    assert notebook.complete("evacli.lr_") == ["lr_find"]
    assert notebook.complete("evacli.gra") == ["gradcam"]
    shown = notebook.inspect("evacli.train")
    for setting in ("epochs", "optimizer", "recipe", "batch_size"):
        assert setting in shown
    assert notebook.said("import sys; print('tensorflow' in sys.modules)") == "False\n"


def test_dir_has_the_workflows_and_nothing_else():
    assert dir(evacli) == sorted(evacli.__all__)


def test_a_training_shows_its_progress_its_curves_and_its_figures(notebook):
    html, before = notebook.shown(f'evacli.train("runs/a", recipe="fast", epochs=2, {SMALL})')
    assert re.search(r"\b1/2 .*%", before)
    assert re.search(r"\b2/2 .*%", before)
    assert picture(html).width > 300
    facts = Page(html).text
    assert re.search(r"top accuracy\s*\d+\.\d\d%", facts)
    assert re.search(r"lr\s*0\.012", facts)  # what the recipe says
    figure = notebook.said('print(type(evacli.train("runs/a").figure))')
    assert "matplotlib.figure.Figure" in figure


def test_an_error_is_one_line_with_what_helps(notebook):
    for code, said in (
        ('evacli.train("runs/c", optimiser="adam")', "Did you mean optimizer?"),
        ('evacli.train("runs/c", recipe="fsat")', "Did you mean fast?"),
        ('evacli.report("runs/c")', "Run first: evacli train"),
    ):
        (error,) = [content for kind, content in notebook.run(code) if kind == "error"]
        shown = "\n".join(error["traceback"])
        assert said in shown
        assert "\n" not in shown
        assert "msgspec" not in shown


def test_an_error_says_what_helps_wherever_it_is_printed():
    assert str(RunError("There is none.", "Make one.")) == "There is none. Make one."
    assert str(ConfigError("There is none.")) == "There is none."


def cells():
    """The code of the notebook for newcomers, by the names of its cells."""
    read = json.loads(FIRST_STEPS.read_text(encoding="utf-8"))
    return {cell["id"]: "".join(cell["source"]) for cell in read["cells"] if cell["cell_type"] == "code"}


def run_through(notebook, folder, **instead):
    """Returns what each cell of it shows or prints, run from top to bottom in a folder of its own."""
    notebook.run(f"import os; os.mkdir({folder!r}); os.chdir({folder!r})")
    shown = {}
    for name, code in cells().items():
        seen = notebook.run(instead.get(name, code))
        assert not [content["traceback"] for kind, content in seen if kind == "error"], name
        results = [content["data"] for kind, content in seen if kind == "execute_result"]
        printed = [content["text"] for kind, content in seen if kind == "stream" and content["name"] == "stdout"]
        shown[name] = "".join([*printed, *(data.get("text/html", data["text/plain"]) for data in results)])
    notebook.run('os.chdir("..")')
    return shown


def test_the_first_steps_show_a_curve_a_page_a_grid_and_tables(notebook):
    small = cells()["find-rate"].replace('dataset="digits", batch_size=32', SMALL)
    assert SMALL in small
    shown = run_through(notebook, "small", **{"find-rate": small})
    pictures = {name: picture(html) for name, html in shown.items() if "<img" in html}
    assert set(pictures) == {"find-rate", "train", "report", "gradcam", "train-longer", "compare"}
    assert min(min(drawn.size) for drawn in pictures.values()) > 250
    said = {name: Page(html).text for name, html in shown.items()}
    assert "foot" in said["find-rate"]
    assert re.search(r"test accuracy\s*\d+\.\d\d%", said["report"])
    assert said["gradcam"].count("gradcam/") >= 9  # the pictures of nine mistakes
    assert re.search(r"four.png\s*\d\s*\d+\.\d\d%", said["predict"])
    assert said["advice"].count("evacli train") >= 1
    assert re.search(r"runs/first-steps\s.*runs/eight-epochs\s", said["compare"], re.DOTALL)


@pytest.mark.long
def test_the_first_steps_read_digits(notebook):
    shown = run_through(notebook, "whole")
    first, longer = (
        float(re.search(r"top accuracy\s*(\d+\.\d+)%", Page(shown[name]).text)[1]) for name in ("train", "train-longer")
    )
    assert 80 < first < longer
    assert longer > 97
    assert re.search(r"four.png\s*4\s", Page(shown["predict"]).text)
    assert "--epochs 10" in shown["advice"]  # what the text of the next cell speaks of


def test_the_first_steps_lie_there_without_what_they_show():
    read = json.loads(FIRST_STEPS.read_text(encoding="utf-8"))
    assert (read["nbformat"], read["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in read["cells"]}) == len(read["cells"])
    assert [cell["outputs"] for cell in read["cells"] if cell.get("outputs") or cell.get("execution_count")] == []
