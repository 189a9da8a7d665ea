import os
import signal
import subprocess
import sys
import threading
from itertools import product
from pathlib import Path

import pytest

from evacli.training.signals import ANSWER, HANDLED, StopRequest


@pytest.mark.parametrize("signum", HANDLED)
def test_first_signal_is_only_noted(signum: int) -> None:
    before = [signal.getsignal(s) for s in HANDLED]
    with StopRequest() as stop:
        assert stop.signum is None
        os.kill(os.getpid(), signum)
        assert stop.signum == signum
    assert [signal.getsignal(s) for s in HANDLED] == before


BUSY = """
import sys
from evacli.training.signals import StopRequest
with StopRequest():
    print("ready", flush=True)
    while True:
        sum(range(30_000_000))  # one operation of C code, as long as a step of training
"""


@pytest.mark.slow
@pytest.mark.parametrize(("first", "second"), [*product(HANDLED[:2], repeat=2)])
def test_second_signal_ends_the_process_at_once(first: int, second: int) -> None:
    with subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(first)
        # Until the handler has run, a second signal of the same kind would merge with the first.
        while signal_is_handled(process.pid, first):
            pass
        process.send_signal(second)
        assert process.wait() == -second
        assert process.stderr.read() == (ANSWER if first == signal.SIGINT else b"")


STUCK = """
import ctypes, threading
from evacli.training.signals import StopRequest
library, mutex = ctypes.CDLL(None), ctypes.create_string_buffer(64)

def tell_when_stuck():
    while ctypes.c_int.from_buffer(mutex).value != 2:  # which is: locked, and waited for
        pass
    print("ready", flush=True)

with StopRequest():
    threading.Thread(target=tell_when_stuck, daemon=True).start()
    library.pthread_mutex_lock(mutex)
    library.pthread_mutex_lock(mutex)  # never returns, and lets other threads run, as TensorFlow's operations do
"""


@pytest.mark.parametrize("second", HANDLED[:2])
def test_a_step_that_does_not_end_is_no_reason_to_be_silent_or_to_stay(second: int) -> None:
    with subprocess.Popen([sys.executable, "-c", STUCK], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGINT)
        assert process.stderr.readline() == ANSWER
        process.send_signal(second)
        assert process.wait() == 128 + second
        assert process.stderr.read() == b""


def test_nothing_of_a_request_is_left_open() -> None:
    def descriptors() -> list[str]:
        return sorted(path.name for path in Path("/proc/self/fd").iterdir())

    for _ in range(3):
        before = descriptors(), threading.active_count()
        with StopRequest():
            pass
        while threading.active_count() > before[1]:  # the thread ends on its own
            pass
        assert (descriptors(), threading.active_count()) == before


def signal_is_handled(pid: int, signum: int) -> bool:
    """Whether the process has a handler of its own for the signal, by what the kernel says."""
    with Path(f"/proc/{pid}/status").open() as lines:
        caught = next(int(line.split()[1], 16) for line in lines if line.startswith("SigCgt"))
    return bool(caught >> (signum - 1) & 1)


SWALLOWING = """
import os, signal
from evacli import __main__, cli
def app(**named):
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:  # as libraries do while they are imported
        pass
    print("went on", flush=True)
cli.app = app
__main__.main()
"""


def test_ctrl_c_before_a_training_is_not_lost_where_a_library_catches_everything() -> None:
    ended = subprocess.run([sys.executable, "-c", SWALLOWING], capture_output=True, check=False)
    assert (ended.returncode, ended.stdout) == (130, b"")
    assert ended.stderr == b"stopped: Ctrl-C; no file is half written.\n"


def test_ignored_signals_stay_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with StopRequest() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            os.kill(os.getpid(), signal.SIGINT)
            assert stop.signum == signal.SIGINT
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_other_threads_leave_signals_alone() -> None:
    before = [signal.getsignal(s) for s in HANDLED]
    seen = []

    def work() -> None:
        with StopRequest() as stop:
            seen.append((stop.signum, [signal.getsignal(s) for s in HANDLED]))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(None, before)]
    assert [signal.getsignal(s) for s in HANDLED] == before
