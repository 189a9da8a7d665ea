"""Comparing runs: their curves in one picture, their figures in one table, and both on one page."""

import os
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from evacli import console, spreadsheet
from evacli.comparing.conclude import conclude
from evacli.comparing.files import Files, default_folder, is_written
from evacli.comparing.result import ComparedRun, Comparison
from evacli.comparing.runs import TrainedRun, gather
from evacli.formats import without_noise
from evacli.notebook import drawn
from evacli.run.directory import remove_leftovers, write_text_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def compare(runs: Iterable[str | Path], out: str | Path | None = None) -> Comparison:
    """Put runs side by side and write `compare.png`, `compare.csv` and `compare.html`.

    Args:
        runs: run directories, two at least, in which `train` has finished an epoch; a file that an earlier comparison
            wrote is left out, so that `runs/*` means the runs.
        out: the folder to write to; by default the one that all the runs are in, or the current one if they are in
            several and not all below it.

    Returns:
        The figures, what differs and what is the same, and where the files are.

    Raises:
        ConfigError: if there are too few runs or too many.
        RunError: if a run is not there, is not trained or is garbled, or if the files cannot be written.

    Example:
        >>> compare(["runs/first", "runs/second"]).page
        'runs/compare.html'
    """
    listed = [runs] if isinstance(runs, str | os.PathLike) else runs
    paths = [path for path in map(Path, listed) if not is_written(path)]
    gathered = gather(paths)
    files = Files(default_folder(paths) if out is None else out)
    comparison = conclude(gathered, files)
    for text in comparison.notices:
        console.warn(text)
    _write(files, comparison, gathered)
    return drawn(comparison, partial(_draw, comparison, gathered))


def _write(files: Files, comparison: Comparison, gathered: Sequence[TrainedRun]) -> None:
    # Imported once the runs are known to be sound.
    from evacli.comparing import page
    from evacli.figures.comparison import cut_panels
    from evacli.figures.style import save

    figure = _draw(comparison, gathered)
    files.create()
    remove_leftovers(files.picture, files.table, files.page, shared=True)
    save(figure, files.picture)
    write_text_atomically(files.table, _csv(comparison))
    write_text_atomically(files.page, page.render_page(comparison, *cut_panels(files.picture)))


def _draw(comparison: Comparison, gathered: Sequence[TrainedRun]) -> "Figure":
    from evacli.figures.comparison import Course, draw_comparison

    return draw_comparison(
        [Course(c.label, c.rows, run.top_epoch, run.state) for c, run in zip(gathered, comparison.runs, strict=True)]
    )


def _csv(comparison: Comparison) -> str:
    columns = [name for name in ComparedRun.__struct_fields__ if name != "settings"]
    differing = list(comparison.runs[0].settings)
    figures = map(without_noise, map(msgspec.structs.asdict, comparison.runs))
    rows = ([*(run[c] for c in columns), *(run["settings"][d] for d in differing)] for run in figures)
    return spreadsheet.to_csv([*columns, *differing], rows)
