"""Draws the Grad-CAM pictures into a run directory."""

from collections.abc import Sequence
from pathlib import Path

from evacli import console
from evacli.figures.gradcam import Explanation, Singles, grid
from evacli.figures.style import save_once, save_pixels
from evacli.run.directory import RunDir, make_folder
from evacli.run.gradcam_files import file_name, remove_singles

MOST_IN_GRID = 100


def write(run: RunDir, explanations: Sequence[Explanation], heading: tuple[str, str], alpha: float) -> list[Path]:
    """Write a picture of each explanation and the grid of the first hundred, in place of what an earlier call wrote.

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
    make_folder(run.gradcam_folder)
    files = [run.gradcam_folder / file_name(e.index, e.predicted, e.true or "") for e in explanations]
    singles = Singles(*heading, alpha)
    for explanation, file in zip(console.track(explanations, "drawing"), files, strict=True):
        save_pixels(singles.pixels(explanation), file)
    save_once(grid(explanations[:MOST_IN_GRID], *heading, alpha), run.gradcam_png)
    if len(files) > MOST_IN_GRID:
        console.note(f"{run.gradcam_png} shows the first {MOST_IN_GRID} of them.")
    remove_singles(run.gradcam_folder, set(files))
    return files
