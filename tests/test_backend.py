"""What TensorFlow is told before it starts, in processes of their own."""

import os
import platform
import subprocess
import sys

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


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="other processors have other kernels")
def test_fast_kernels_and_a_large_tensor_takes_the_memory_of_the_one_before() -> None:
    faults, kernels = printed(FAULTS).split()
    # Five times 128 MiB are 163,840 pages of 4 KiB; without the setting each is faulted in anew.
    assert int(faults) < 50_000
    assert kernels == "1"


def test_slow_kernels_for_who_wants_them() -> None:
    program = "import os, evacli.backend; print(os.environ['TF_ENABLE_ONEDNN_OPTS'])"
    assert printed(program, TF_ENABLE_ONEDNN_OPTS="0") == "0"
