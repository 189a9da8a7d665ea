"""What `make test-fast` runs: the tests that need no TensorFlow, told by trying."""

import subprocess
import sys
from pathlib import Path

import pytest

BLOCK = Path(__file__).parent / "no_tensorflow"
TESTS = {
    "at_the_top": "import evacli.backend\ndef test_it(): pass",
    "through_another": "import test_at_the_top\ndef test_it(): pass",
    "of_keras": "from keras import layers\ndef test_it(): pass",
    "unmarked": "def test_it(): import keras",
    "unmarked_process": "import subprocess, sys\n"
    "def test_it(): subprocess.run([sys.executable, '-c', 'import evacli.backend'], check=True)",
    "marked": "import pytest\n@pytest.mark.tensorflow\ndef test_it(): raise AssertionError",
    "light": "import sys, numpy, evacli.config\ndef test_it(): assert 'tensorflow' not in sys.modules",
}


@pytest.mark.slow
def test_only_tests_without_tensorflow_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, code in TESTS.items():
        (tmp_path / f"test_{name}.py").write_text(code)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = tensorflow")
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    monkeypatch.setenv("PYTHONPATH", f"{BLOCK}:{Path(__file__).parent.parent}")
    options = ["-p", "no:cacheprovider", "-m", "not tensorflow", "-rA", "--no-header", "--tb=line"]
    ran = subprocess.run([sys.executable, "-m", "pytest", *options], cwd=tmp_path, capture_output=True, text=True)
    *lines, counts = [line.split(" - ")[0] for line in ran.stdout.splitlines()]
    assert [line for line in lines if line.startswith(("PASSED", "FAILED", "ERROR"))] == [
        "PASSED test_light.py::test_it",
        "FAILED test_unmarked.py::test_it",
        "FAILED test_unmarked_process.py::test_it",
    ], ran.stdout
    assert "mark it with @pytest.mark.tensorflow" in ran.stdout
    assert "2 failed, 1 passed, 3 skipped, 1 deselected" in counts, ran.stdout
