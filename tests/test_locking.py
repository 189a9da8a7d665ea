import errno
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from filelock import FileLock

from evacli.errors import RunBusy, RunError
from evacli.run.directory import RunDir
from evacli.run.locking import drawing, exclusive, refuse_if_busy

HOLDER = """
import sys
from evacli.run.locking import exclusive
from evacli.run.directory import RunDir
with exclusive(RunDir(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return RunDir(tmp_path / "run")


@contextmanager
def holder(run: RunDir) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that holds the run until its stdin ends."""
    command = [sys.executable, "-c", HOLDER, str(run.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        yield process


@pytest.mark.parametrize("enter", [exclusive, refuse_if_busy])
def test_second_process_is_refused_with_the_pid_of_the_first(run: RunDir, enter: object) -> None:
    with holder(run) as first:
        with pytest.raises(RunBusy, match=rf"in use by process {first.pid}\."):
            try_to(enter, run)
        first.stdin.close()
        first.wait()
        try_to(enter, run)


def try_to(enter: object, run: RunDir) -> None:
    entered = enter(run)
    if entered is not None:
        with entered:
            pass


def test_lock_of_a_killed_process_is_no_obstacle(run: RunDir) -> None:
    with holder(run) as first:
        first.kill()
    assert run.lock.exists()
    with exclusive(run):
        assert run.lock_owner.read_text() == str(os.getpid())


def test_run_is_free_again_after_an_error(run: RunDir) -> None:
    with pytest.raises(ZeroDivisionError), exclusive(run):
        raise ZeroDivisionError
    assert not run.lock_owner.exists()
    with exclusive(run):
        pass


@pytest.mark.parametrize("owner", [None, b"", b"\xff\x00 garbage", b"9" * 10_000])
def test_busy_run_is_refused_even_if_nobody_says_by_whom(run: RunDir, owner: bytes | None) -> None:
    with exclusive(run):
        run.lock_owner.unlink()
        if owner is not None:
            run.lock_owner.write_bytes(owner)
        with pytest.raises(RunBusy, match=r"in use by (another process|process 9+)\."):
            refuse_if_busy(run)


def test_a_directory_that_stays_empty_is_not_left(run: RunDir) -> None:
    with exclusive(run):
        pass
    assert not run.path.exists()
    run.create()
    with exclusive(run):
        pass
    assert [path.name for path in run.path.iterdir()] == ["train.lock"]


def test_leftovers_of_every_file_of_a_run_go_under_its_locks(run: RunDir) -> None:
    run.gradcam_folder.mkdir(parents=True)
    single = run.gradcam_folder / "00001-predicted-cat-true-dog.png"
    for path in (*run.of_training, *run.of_drawing, single):
        path.with_name(f".{path.stem}.77-1a2b.tmp{path.suffix}").touch()
    mine = run.gradcam_folder / ".mine.tmp.png"
    mine.touch()
    with exclusive(run), drawing(run):
        assert list(run.path.rglob(".*")) == [mine]


def test_only_reading_a_run_needs_no_disk_that_can_be_written_to(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    run.create()
    run.lock.touch()

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(FileLock, "acquire", refuse)
    refuse_if_busy(run)
    for hold in (exclusive, drawing):
        with pytest.raises(RunError, match="cannot be written to: Read-only file system"), hold(run):
            pass


def test_asking_writes_nothing_for_a_new_run(run: RunDir) -> None:
    refuse_if_busy(run)
    assert not run.path.exists()


def test_lock_that_cannot_be_taken_is_one_clean_error(run: RunDir) -> None:
    run.lock.mkdir(parents=True)
    for attempt in (lambda: refuse_if_busy(run), lambda: exclusive(run).__enter__()):
        with pytest.raises(RunError, match="Cannot lock"):
            attempt()


def test_full_disk_is_one_clean_error_and_frees_the_run(run: RunDir) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        with pytest.raises(RunError, match="Cannot write"), exclusive(run):
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    with exclusive(run):
        pass
