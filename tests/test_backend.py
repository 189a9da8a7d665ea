"""What TensorFlow is told before it starts, in processes of their own."""

import os
import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource
from evacli.backend import tf
make = tf.function(lambda x: tf.reduce_sum(x + 1.0))
large = tf.zeros([2**25])  # 128 MiB, as are the sums in between
for _ in range(3):
    make(large).numpy(), (large + 1.0).shape
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    (large + 1.0).shape
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def printed(program: str, **variables: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_ENABLE")}
    return subprocess.run(
        [sys.executable, "-c", program], env=environment | variables, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_a_large_tensor_takes_the_memory_of_the_one_before() -> None:
    # Five times 128 MiB are 163,840 pages of 4 KiB; without the setting each is faulted in anew.
    assert int(printed(FAULTS)) < 50_000


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="other processors have other kernels")
@pytest.mark.parametrize(("variables", "expected"), [({}, "1"), ({"TF_ENABLE_ONEDNN_OPTS": "0"}, "0")])
def test_fast_kernels_unless_the_user_wants_none(variables: dict[str, str], expected: str) -> None:
    program = "import os, evacli.backend; print(os.environ['TF_ENABLE_ONEDNN_OPTS'])"
    assert printed(program, **variables) == expected
