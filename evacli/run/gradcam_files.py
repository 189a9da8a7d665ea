"""The pictures of single images that gradcam leaves in a run directory: how they are called, and which may go."""

import re
from collections.abc import Collection
from pathlib import Path

from evacli.run import directory
from evacli.run.directory import RunDir

# What `file_name` has named; other files in the folder are the user's.
OURS = re.compile(r"\d{5,}-predicted-\w+-true-\w+\.png", re.ASCII)


def file_name(index: int, predicted: str, true: str) -> str:
    """Of the picture of a test image, by its index and the names of two classes."""
    return f"{index:05d}-predicted-{_file_safe(predicted)}-true-{_file_safe(true)}.png"


def _file_safe(class_name: str) -> str:
    """Return 40 characters of a class name at most, with `_` for what is no ASCII letter, digit or `_`."""
    return re.sub(r"\W+", "_", class_name, flags=re.ASCII)[:40] or "_"


def remove(run: RunDir) -> None:
    """Remove the pictures of an earlier call."""
    run.gradcam_png.unlink(missing_ok=True)
    remove_singles(run, ())


def remove_singles(run: RunDir, but: Collection[Path]) -> None:
    """Remove the pictures of single images, all but these."""
    if run.gradcam_folder.is_symlink():
        return
    for file in run.gradcam_folder.glob("*.png"):
        if file not in but and OURS.fullmatch(file.name):
            file.unlink()


def remove_leftovers(run: RunDir) -> None:
    """Remove the temporary files of pictures that killed processes left."""
    if not run.gradcam_folder.is_symlink():
        directory.remove_leftovers(run.gradcam_folder / "*-predicted-*-true-*.png")
