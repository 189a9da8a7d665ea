import os
import resource
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from evacli.errors import RunError
from evacli.run.directory import RunDir, clean_up, read_small, remove_leftovers, write_atomically, write_text_atomically


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_naming_a_run_writes_nothing(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "a" / "b")
    assert names(tmp_path) == []
    run.create()
    run.create()
    assert (tmp_path / "a" / "b").is_dir()


def test_every_file_lies_in_the_run(tmp_path: Path) -> None:
    paths = [value for value in vars(RunDir(tmp_path)).values() if value != tmp_path]
    assert len({path.name for path in paths}) == len(paths) > 10
    assert {path.parent for path in paths} == {tmp_path}


@pytest.mark.parametrize("below", ["", "deeper"])
def test_run_on_a_file_is_refused(tmp_path: Path, below: str) -> None:
    file = tmp_path / "some.png"
    file.write_bytes(b"picture")
    with pytest.raises(RunError, match=r"some\.png"):
        RunDir(file / below).create()
    assert file.read_bytes() == b"picture"


def test_run_with_an_impossible_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="too long"):
        RunDir(tmp_path / ("a" * 300))


def test_untrained_run_names_the_command_that_comes_first(tmp_path: Path) -> None:
    with pytest.raises(RunError) as caught:
        RunDir(tmp_path / "mine").require_trained()
    assert caught.value.fix == f"Run first: evacli train --run {tmp_path / 'mine'}"
    assert RunDir().option == ""


def test_text_is_written_as_utf8_with_lone_surrogates_escaped(tmp_path: Path) -> None:
    write_text_atomically(tmp_path / "a.txt", "猫\n\ud800")
    assert (tmp_path / "a.txt").read_bytes() == "猫\n\\ud800".encode()


def test_new_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_text_atomically(tmp_path / "a.txt", "a")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o640


def test_writer_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail_half_way(target: Path) -> None:
        target.write_text("ne")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, fail_half_way)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("limit", [0, 1, 4096, 99_999])
def test_full_disk_leaves_the_old_file_and_names_it(tmp_path: Path, limit: int) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(RunError, match=r"Cannot write .*a\.txt: File too large\."):
            write_text_atomically(path, "n" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_missing_folder_is_one_clean_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="Cannot write"):
        write_text_atomically(tmp_path / "nowhere" / "a.txt", "a")


# Replaces a file again and again until it is killed; told by `signals` when to kill it.
REWRITER = """
import sys
from pathlib import Path
from evacli.run.directory import write_text_atomically
path, i = Path(sys.argv[1]), 0
while True:
    write_text_atomically(path, f"{i} " * 20_000)
    i += 1
    print(i, flush=True)
"""


def test_killed_writer_leaves_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    for rounds in (1, 2, 3, 5, 8):
        writer = subprocess.Popen([sys.executable, "-c", REWRITER, str(path)], stdout=subprocess.PIPE)
        with writer, writer.stdout as lines:
            for _ in range(rounds):
                lines.readline()
            writer.kill()
        words = path.read_text().split()
        assert len(words) == 20_000
        assert len(set(words)) == 1
        remove_leftovers(path)
        assert names(tmp_path) == ["a.txt"]


def test_only_leftovers_of_the_named_files_are_removed(tmp_path: Path) -> None:
    mine, others = tmp_path / ".best.x1.tmp.keras", tmp_path / ".report.x1.tmp.html"
    mine.touch()
    others.touch()
    (tmp_path / "best.keras").touch()
    remove_leftovers(tmp_path / "best.keras", tmp_path / "history.csv")
    assert names(tmp_path) == [".report.x1.tmp.html", "best.keras"]


def test_what_others_are_writing_is_left_where_no_lock_keeps_them_away(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    for maker in (os.getpid(), ended.pid, "x"):
        (tmp_path / f".compare.{maker}-1a2b.tmp.png").touch()
    remove_leftovers(tmp_path / "compare.png", shared=True)
    assert names(tmp_path) == [f".compare.{os.getpid()}-1a2b.tmp.png"]


def test_a_process_that_leaves_at_once_takes_its_temporary_files_along(tmp_path: Path) -> None:
    def write(target: Path) -> None:
        target.write_text("half")
        clean_up()
        assert names(tmp_path) == []
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "a.txt", write)


def test_documents_are_read_up_to_a_limit(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"{}")
    assert read_small(tmp_path / "a.json") == b"{}"
    with (tmp_path / "a.json").open("r+b") as file:
        file.truncate(2**40)  # sparse: takes no room on the disk
    with pytest.raises(ValueError, match="larger than 16 MiB"):
        read_small(tmp_path / "a.json")
