"""A process that crashes where memory is limited ends with one line, and otherwise as if nobody watched it."""

import resource
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

START = (
    "import ctypes, os, sys; from evacli import last_words; last_words.leave_to_another(); print('begun', flush=True);"
)
CRASHED = (
    "error: TensorFlow crashed ({}), as it does where it gets no memory; ulimit allows 2.0 GB. "
    "What was saved is whole. Raise that limit, or use a smaller --batch-size, smaller images or a smaller network.\n"
)


def limit(kind: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(kind, (2 * 2**30,) * 2)


def end(code: str, before: Callable[[], None] | None) -> tuple[int, str, str]:
    """Runs Python until nobody can write to its stdout and stderr any more."""
    ended = subprocess.run(
        [sys.executable, "-c", START + code], preexec_fn=before, capture_output=True, text=True, check=False
    )
    return ended.returncode, ended.stdout, ended.stderr


@pytest.mark.slow
@pytest.mark.parametrize("kind", [resource.RLIMIT_AS, resource.RLIMIT_DATA])
@pytest.mark.parametrize(
    ("code", "signum", "name"),
    [
        ("ctypes.string_at(0)", signal.SIGSEGV, "Segmentation fault"),
        ("import threading; threading.Thread(target=os.abort).start()", signal.SIGABRT, "Aborted"),
    ],
)
def test_a_crash_has_a_line_and_the_exit_code_that_it_has_without(code: str, signum: int, name: str, kind: int) -> None:
    assert end(code, limit(kind)) == (-signum, "begun\n", CRASHED.format(name))
    assert end(code, None) == (-signum, "begun\n", "")


@pytest.mark.slow
@pytest.mark.parametrize(("code", "ends"), [("sys.exit(3)", 3), *((f"os.kill(os.getpid(), {n})", -n) for n in (9, 15))])
def test_what_is_no_crash_has_no_line(code: str, ends: int) -> None:
    assert end(code, limit(resource.RLIMIT_AS)) == (ends, "begun\n", "")
