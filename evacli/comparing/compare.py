"""Comparing runs: their curves in one picture, their figures in one table, and both on one page."""

import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from evacli import console, spreadsheet
from evacli.comparing import contenders, doubts
from evacli.comparing.contenders import Contender
from evacli.comparing.result import ComparedRun, Comparison
from evacli.errors import RunError
from evacli.run import history
from evacli.run.directory import write_text_atomically

PICTURE, TABLE, PAGE = "compare.png", "compare.csv", "compare.html"
# Settings that are in every table anyway.
_SHOWN = frozenset({"lr", "optimizer", "schedule", "epochs"})
_FINAL = ("train_accuracy", "test_accuracy", "train_loss", "test_loss")


def compare(runs: Iterable[str | Path], out: str | Path | None = None) -> Comparison:
    """Puts runs side by side and writes `compare.png`, `compare.csv` and `compare.html`.

    Args:
        runs: run directories, two at least, in which `train` has finished an epoch; a file that an earlier comparison
            wrote is left out, so that `runs/*` means the runs.
        out: the folder to write to; by default the one that all the runs are in, or the current one if that is not
            inside it.

    Returns:
        The figures, what differs and what is the same, and where the files are.

    Raises:
        ConfigError: if there are too few runs or too many.
        RunError: if a run is not there, is not trained or is garbled, or if the files cannot be written.
    """
    listed = [runs] if isinstance(runs, str | os.PathLike) else runs
    paths = [path for path in map(Path, listed) if not _is_written_here(path)]
    gathered = contenders.gather(paths)
    folder = _folder(gathered) if out is None else Path(out)
    comparison = _conclude(gathered, folder)
    for text in comparison.notices:
        console.warn(text)
    _write(comparison, gathered, folder)
    return comparison


def _is_written_here(path: Path) -> bool:
    return path.name in (PICTURE, TABLE, PAGE) and path.is_file()


def _folder(gathered: list[Contender]) -> Path:
    here = Path.cwd()
    parents = {Path(os.path.normpath(here / c.run.path)).parent for c in gathered}
    folder = Path(os.path.commonpath(parents))
    if len(parents) > 1 and not folder.is_relative_to(here):
        return Path()
    return folder.relative_to(here) if folder.is_relative_to(here) else folder


def _conclude(gathered: list[Contender], folder: Path) -> Comparison:
    settings = [c.settings for c in gathered]
    names = list(dict.fromkeys(name for values in settings for name in values))
    differing = [name for name in names if any(values.get(name) != settings[0].get(name) for values in settings)]
    return Comparison(
        runs=[_figures(c, [name for name in differing if name not in _SHOWN]) for c in gathered],
        same={name: settings[0][name] for name in names if name not in differing},
        notices=doubts.doubts(gathered),
        picture=str(folder / PICTURE),
        table=str(folder / TABLE),
        page=str(folder / PAGE),
    )


def _figures(contender: Contender, differing: list[str]) -> ComparedRun:
    trained, settings = contender.trained, contender.settings
    return ComparedRun(
        run=str(contender.run.path),
        label=contender.label,
        state=trained.state,
        epochs=contender.config.epochs,
        chosen_by=trained.chosen_by,
        seconds=trained.seconds,
        images_per_second=trained.images_per_second,
        lr=trained.lr,
        optimizer=settings["optimizer"],
        schedule=settings["schedule"],
        settings={name: settings.get(name) for name in differing},
        **_measured(contender),
    )


def _measured(contender: Contender) -> dict[str, Any]:
    """The figures that the history tells."""
    if not contender.rows:
        names = ("top_accuracy", "test_accuracy", *map("final_{}".format, _FINAL), "gap")
        return dict.fromkeys(names) | {"epochs_done": 0, "top_epoch": 0}
    top, last = history.best(contender.rows), contender.rows[-1]
    return {
        "epochs_done": len(contender.rows),
        "top_accuracy": top.deciding_accuracy,
        "top_epoch": top.epoch,
        "test_accuracy": top.test_accuracy,
        **{f"final_{name}": _finite(getattr(last, name)) for name in _FINAL},
        "gap": _finite(last.train_accuracy - last.test_accuracy),
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _write(comparison: Comparison, gathered: list[Contender], folder: Path) -> None:
    # Imported once the runs are known to be sound.
    from evacli.comparing import page
    from evacli.figures.comparison import Course, cut_panels, draw_comparison
    from evacli.figures.style import save

    figure = draw_comparison(
        [Course(c.label, c.rows, run.top_epoch, run.state) for c, run in zip(gathered, comparison.runs, strict=True)]
    )
    _create(folder)
    save(figure, Path(comparison.picture))
    write_text_atomically(Path(comparison.table), _csv(comparison))
    write_text_atomically(
        Path(comparison.page), page.render_page(comparison, *cut_panels(figure, Path(comparison.picture)))
    )


def _create(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise RunError(f"Cannot write to the folder {folder}: {e.strerror}.", "Name another --out.") from e


def _csv(comparison: Comparison) -> str:
    columns = [name for name in ComparedRun.__struct_fields__ if name != "settings"]
    differing = list(comparison.runs[0].settings)
    rows = ([*(getattr(run, c) for c in columns), *(run.settings[d] for d in differing)] for run in comparison.runs)
    return spreadsheet.to_csv([*columns, *differing], rows)
