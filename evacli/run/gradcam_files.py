"""The pictures of single images that gradcam and predict leave: how they are called, and which may go."""

import re
from collections.abc import Collection
from pathlib import Path

from evacli.run import directory
from evacli.run.directory import RunDir

# What has been named here; other files in the folder are the user's.
OURS = re.compile(r"\d{5,}-(predicted-\w+-true-\w+|\w+-predicted-\w+)\.png", re.ASCII)
OF_TEST_IMAGE = re.compile(r"\d{5,}-predicted-\w+-true-\w+\.png", re.ASCII)


def file_name(index: int, predicted: str, true: str) -> str:
    """Of the picture of a test image, by its index and the names of two classes."""
    return f"{index:05d}-predicted-{_file_safe(predicted)}-true-{_file_safe(true)}.png"


def name_of_prediction(index: int, picture: str, predicted: str) -> str:
    """Name the map of a picture that was predicted, by its place among the others, its path and the name of a class.

    Example:
        >>> name_of_prediction(3, "photos/my cat.jpg", "cat")
        '00003-my_cat-predicted-cat.png'
    """
    return f"{index:05d}-{_file_safe(Path(picture).stem)}-predicted-{_file_safe(predicted)}.png"


def _file_safe(name: str) -> str:
    """Return 40 characters of `name` at most, with `_` for each run of what is no ASCII letter, digit or underscore."""
    return re.sub(r"\W+", "_", name, flags=re.ASCII)[:40] or "_"


def remove(run: RunDir) -> None:
    """Remove the pictures of an earlier gradcam."""
    run.gradcam_png.unlink(missing_ok=True)
    remove_singles(run.gradcam_folder, ())


def remove_singles(folder: Path, but: Collection[Path]) -> None:
    """Remove the pictures of single images, all but these."""
    if folder.is_symlink():
        return
    for file in folder.glob("*.png"):
        if file not in but and OURS.fullmatch(file.name):
            file.unlink()


def remove_leftovers(run: RunDir) -> None:
    """Remove the temporary files of pictures that killed processes left."""
    for folder in run.gradcam_folder, run.predictions_gradcam_folder:
        if not folder.is_symlink():
            directory.remove_leftovers(folder / "*-predicted-*.png")
