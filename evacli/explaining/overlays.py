"""The files of the Grad-CAM pictures in a run directory."""

import re
from collections.abc import Collection, Sequence
from pathlib import Path

from evacli import console
from evacli.errors import RunError
from evacli.figures.gradcam import Explanation, grid
from evacli.figures.style import save
from evacli.run.directory import RunDir

MOST_IN_GRID = 100
# What this module has named; other files in the folder are the user's.
OURS = re.compile(r"\d{5,}-predicted-\w+-true-\w+\.png", re.ASCII)


def write(run: RunDir, explanations: Sequence[Explanation], heading: tuple[str, str], alpha: float) -> list[Path]:
    """Writes a picture of each explanation and the grid of the first hundred, in place of what an earlier call wrote.

    Args:
        run: where to.
        explanations: at least one.
        heading: title and subtitle of the pictures.
        alpha: weight of the image in the overlays.

    Returns:
        The files of the single pictures.

    Raises:
        RunError: if the file system refuses.
    """
    if run.gradcam_folder.is_symlink():
        raise RunError(f"{run.gradcam_folder} is a link; the pictures would land elsewhere.", "Remove the link.")
    try:
        run.gradcam_folder.mkdir(exist_ok=True)
    except OSError as e:
        raise RunError(
            f"Cannot create the folder {run.gradcam_folder}: {e.strerror}.", "Move away what is there."
        ) from e
    files = [run.gradcam_folder / _file_name(e) for e in explanations]
    for explanation, file in zip(console.track(explanations, "drawing"), files, strict=True):
        save(grid([explanation], *heading, alpha), file)
    save(grid(explanations[:MOST_IN_GRID], *heading, alpha), run.gradcam_png)
    if len(files) > MOST_IN_GRID:
        console.note(f"{run.gradcam_png} shows the first {MOST_IN_GRID} of them.")
    _remove_singles(run, set(files))
    return files


def remove(run: RunDir) -> None:
    """Removes the pictures of an earlier call."""
    run.gradcam_png.unlink(missing_ok=True)
    _remove_singles(run, ())


def _remove_singles(run: RunDir, but: Collection[Path]) -> None:
    if run.gradcam_folder.is_symlink():
        return
    for file in run.gradcam_folder.glob("*.png"):
        if file not in but and OURS.fullmatch(file.name):
            file.unlink()


def _file_name(explanation: Explanation) -> str:
    predicted, true = _file_safe(explanation.predicted), _file_safe(explanation.true)
    return f"{explanation.index:05d}-predicted-{predicted}-true-{true}.png"


def _file_safe(class_name: str) -> str:
    """At most 40 characters of `class_name`, with `_` for each run of what is no ASCII letter, digit or underscore."""
    return re.sub(r"\W+", "_", class_name, flags=re.ASCII)[:40] or "_"
