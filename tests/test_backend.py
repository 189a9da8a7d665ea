"""What TensorFlow is told before it starts, in processes of their own."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.tensorflow

FAULTS = """
import os, resource
from evacli.backend import tf
make = tf.function(lambda x: tf.reduce_sum(x + 1.0))
large = tf.zeros([2**25])  # 128 MiB, as are the sums in between
for _ in range(3):
    make(large).numpy(), (large + 1.0).shape
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    (large + 1.0).shape
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before, os.environ["TF_ENABLE_ONEDNN_OPTS"])
"""


def printed(program: str, **variables: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_ENABLE")}
    return subprocess.run(
        [sys.executable, "-c", program], env=environment | variables, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.mark.long
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="other processors have other kernels")
def test_fast_kernels_and_a_large_tensor_takes_the_memory_of_the_one_before() -> None:
    faults, kernels = printed(FAULTS).split()
    # Five times 128 MiB are 163,840 pages of 4 KiB; without the setting each is faulted in anew.
    assert int(faults) < 50_000
    assert kernels == "1"


SURROUNDINGS = """
import os
import evacli.backend as backend
from evacli.backend import keras
c = keras.config
print(c.floatx(), c.epsilon(), c.image_data_format(), c.dtype_policy().name, c.backend(), c.max_epochs())
print(keras.layers.Dense(1).dtype_policy.name, keras.layers.Conv2D(1, 1).data_format, backend.moved())
print(os.environ["TF_ENABLE_ONEDNN_OPTS"])
"""


def test_no_setting_of_the_users_keras_changes_a_run_and_slow_kernels_are_for_who_wants_them(tmp_path: Path) -> None:
    settings = {"floatx": "float64", "epsilon": 0.5, "image_data_format": "channels_first", "backend": "jax"}
    settings["nnx_enabled"] = True
    (tmp_path / "keras.json").write_text(json.dumps(settings))
    variables = {"KERAS_HOME": str(tmp_path), "KERAS_BACKEND": "torch", "KERAS_MAX_EPOCHS": "1"}
    first, second, fast = printed(SURROUNDINGS, TF_ENABLE_ONEDNN_OPTS="0", **variables).splitlines()
    assert first == "float32 1e-07 channels_last float32 tensorflow None"
    assert second == "float32 channels_last {}"
    assert fast == "0"


def test_a_garbled_keras_json_is_one_line_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "keras.json").write_text('{"floatx": "int8"}')
    program = "import evacli.errors\ntry: import evacli.backend\nexcept evacli.errors.ConfigError as e: print(e, e.fix)"
    found = printed(program, KERAS_HOME=str(tmp_path))
    assert found.startswith("Keras does not start: ")
    assert "keras.json" in found
    assert found.count("\n") == 0
