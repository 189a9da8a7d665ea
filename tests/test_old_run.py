"""A run that version 0.1.0 made, once stopped in its second epoch and once finished.

Other processors round otherwise, so what depends on arithmetic is compared to within that; on the machine that made the
run it was the same to the last bit.
"""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest

import evacli
from evacli import console
from evacli.run import checkpoint, config_file, summary
from evacli.run.directory import RunDir
from evacli.run.lr_result import read_curve, suggestion

MADE = Path(__file__).parent / "run-0.1.0"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDir:
    """A copy of the one that was stopped, beside the file of its network."""
    shutil.copytree(MADE, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    console.configure(quiet=True)
    return RunDir("unfinished")


def rows(path: Path) -> list[dict[str, float]]:
    with path.open() as file:
        return [{name: float(cell) for name, cell in row.items() if name != "seconds"} for row in csv.DictReader(file)]


def test_its_documents_open_with_what_they_were_called_then(run: RunDir) -> None:
    settings = config_file.read(run)
    assert '"mirror_test": true' in run.config.read_text()
    assert settings.tta
    assert settings.uses_tta
    assert summary.read(run).tta
    assert checkpoint.load_progress(run).config.tta
    assert suggestion(run).lr == pytest.approx(0.34304692863149183, rel=1e-12)
    assert len(read_curve(run).losses) == suggestion(run).steps_taken
    (listed,) = evacli.runs("unfinished")
    assert (listed.state, listed.epochs_done, listed.epochs, listed.tta) == ("unfinished", 1, 3, True)


@pytest.mark.tensorflow
def test_it_goes_on_to_where_version_0_1_0_came(run: RunDir) -> None:
    expected, whole = checkpoint.load(RunDir("finished"))
    evacli.train(run.path, model="network.py:build")
    progress, arrays = checkpoint.load(run)
    for group in ("network", "optimizer", "best"):
        for found, wanted in zip(arrays[group], whole[group], strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-5)
    assert progress.data_fingerprint == expected.data_fingerprint
    assert progress.network_fingerprint == expected.network_fingerprint
    assert (progress.lr, progress.lr_source) == (expected.lr, expected.lr_source)
    found, wanted = rows(run.history), rows(RunDir("finished").history)
    assert found[0] == wanted[0]  # was there already
    for one, other in zip(found, wanted, strict=True):
        assert one == pytest.approx(other, rel=1e-3, abs=0.011)  # an image may fall on the other side


@pytest.mark.tensorflow
def test_its_report_says_what_it_said(run: RunDir) -> None:
    before = (MADE / "finished" / "misclassified.csv").read_text().splitlines()
    result = evacli.report("finished", gradcam=False)
    assert result.test_accuracy == pytest.approx(0.5, abs=0.011)
    assert result.tta
    found = Path(result.misclassified).read_text().splitlines()
    assert found[0] == before[0]
    indices = [{line.split(",")[0] for line in lines[1:]} for lines in (found, before)]
    assert len(indices[0] ^ indices[1]) <= 1
    assert evacli.gradcam("finished", n=2).mistakes == pytest.approx(50, abs=1)
