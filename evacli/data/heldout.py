"""Keeping a part of the images for tests, of data that have no tests of their own: drawn once, and kept."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from evacli import console, spreadsheet
from evacli.data.layout import TEST, TRAIN, Layout
from evacli.data.subset import held_out
from evacli.data.types import Source
from evacli.errors import DataError
from evacli.formats import counted
from evacli.messages import listed

SHARE = 0.2

Drawn = Mapping[str, str]  # the split of each image, by its name as a table has it


def of_files(found: Layout, share: float | None, kept: Drawn | None) -> tuple[Layout, Drawn | None]:
    """Take tests from the training files; see `_drawn` for the arguments.

    Returns:
        The files with tests, and what was drawn, unless that was kept.
    """
    train = found.splits[TRAIN]
    names = _written(file.name for file in train.files)
    drawn = _drawn(names, train.labels, share, kept)
    sides = {role: train.take(_of(drawn, role, names)) for role in (TRAIN, TEST)}
    return replace(found, splits=found.splits | sides), None if kept else drawn


def of_arrays(found: Source, share: float | None, kept: Drawn | None) -> Source:
    """Take tests from the training images; see `_drawn` for the arguments."""
    train = found.train
    names = _written(train.names)
    drawn = _drawn(names, train.labels, share, kept)
    sides = {role: train.take(_of(drawn, role, names)) for role in (TRAIN, TEST)}
    return replace(found, train=sides[TRAIN], test=sides[TEST], drawn=None if kept else drawn)


def _written(names: Iterable[str]) -> list[str]:
    """Return names as a table holds them, so that what is read from one can be found again."""
    return [spreadsheet.harmless(name).encode("utf-8", "backslashreplace").decode() for name in names]


def _drawn(names: Sequence[str], labels: NDArray[np.int64], share: float | None, kept: Drawn | None) -> Drawn:
    """Return the split of each image.

    Args:
        names: of the images.
        labels: (N,) their classes.
        share: of the images that are kept for tests.
        kept: what was drawn before; images that it does not list are named and left out.
    """
    if kept is None:
        tests = held_out(labels, SHARE if share is None else share)
        drawn = {name: TEST if test else TRAIN for name, test in zip(names, tests, strict=True)}
    else:
        drawn = {name: kept[name] for name in names if name in kept}
        if new := [name for name in names if name not in kept]:
            console.warn(
                f"Going on without {counted(len(new), 'new image')} that split.csv does not list: {listed(new)}."
            )
    if not {TRAIN, TEST} <= set(drawn.values()):
        raise DataError(
            f"{counted(len(names), 'image')} leave none for one side of training and tests.",
            "Add images, or a test folder.",
        )
    return drawn


def _of(drawn: Drawn, role: str, names: Sequence[str]) -> NDArray[np.int64]:
    return np.array([i for i, name in enumerate(names) if drawn.get(name) == role], np.int64)
