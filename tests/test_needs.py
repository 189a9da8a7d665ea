"""What a training is said to take of memory is what it takes, up to a factor of two."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells what is taken"),
]

WIDE = f"{Path(__file__).with_name('tiny_networks.py')}:wide"
CASES = [("eva", 8, 64), ("eva", 32, 64), ("resnet20", 32, 64), (WIDE, 16, 16)]  # network, side, batch size

# A process for each case, as the most that one ever took counts; TensorFlow is imported once for all.
PROGRAM = """
import json, os, sys, tempfile
import numpy as np, tensorflow, keras
from pathlib import Path
from evacli import console, memory, train
import evacli.training.train

def taken(what):
    return next(1024 * int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(what))

def measure(model, side, batch_size):
    told = []
    def require(needed, what, *_, **__):
        if what.startswith("Training"):
            told[:] = needed, taken("VmRSS")
    memory.require = require
    console.configure(quiet=True)
    count = 2 * batch_size
    x = np.random.default_rng(0).integers(0, 256, (count, side, side, 3), np.uint8)
    y = np.arange(count) % 10
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data.npz"
        np.savez(data, x_train=x, y_train=y, x_test=x, y_test=y)
        train(Path(folder) / "run", data=str(data), model=model, batch_size=batch_size, epochs=1, precision="float32")
    print(json.dumps([told[0], taken("VmHWM") - told[1]]), flush=True)

for case in json.loads(sys.argv[1]):
    if not os.fork():
        measure(*case)
        os._exit(0)
    os.wait()
"""


@pytest.mark.long
def test_the_estimate_is_within_a_factor_of_two_of_what_is_taken() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(CASES)], capture_output=True, text=True, check=False
    )
    measured = [json.loads(line) for line in ended.stdout.splitlines()]
    assert len(measured) == len(CASES), ended.stderr
    for case, (said, taken) in zip(CASES, measured, strict=True):
        assert taken / 2 < said < taken * 2, (case, said, taken)
