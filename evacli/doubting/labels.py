"""Which labels of the images that the network has not learnt from are suspected to be wrong."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from evacli import console, devices, extras, spreadsheet
from evacli.devices import Device
from evacli.notebook import Displayed
from evacli.run import trained
from evacli.run.directory import DEFAULT_RUN, RunDir, write_text_atomically
from evacli.run.locking import drawing

if TYPE_CHECKING:
    from evacli.doubting.suspects import Part
    from evacli.evaluation import EvaluatedRun

SHOWN = 25  # in the picture


class Suspect(msgspec.Struct, frozen=True, kw_only=True):
    """An image whose label is suspected to be wrong. Probabilities are the network's, shares of 1.

    Attributes:
        part: "test" or "validation".
        index: of the image in that part, from 0.
        name: its file, or what the data calls it.
        given: the class that it is labelled with.
        given_probability: of that class.
        suggested: the most probable class.
        suggested_probability: of that class.
    """

    part: str
    index: int
    name: str
    given: str
    given_probability: float
    suggested: str
    suggested_probability: float


class Without(msgspec.Struct, frozen=True, kw_only=True):
    """What the suspected labels are to the accuracy on a part of the data; shares of 1.

    Attributes:
        part: "test" or "validation".
        images: how many it has.
        suspects: how many of their labels are suspected.
        accuracy: on all of them.
        accuracy_without: on the others; None where there are no others. It is no better measure of the network: an
            image is suspected because the network contradicts its label, so that its own mistakes go with them.
    """

    part: str
    images: int
    suspects: int
    accuracy: float
    accuracy_without: float | None


class LabelsResult(Displayed, frozen=True, kw_only=True):
    """The suspected labels, and where they are.

    Attributes:
        run: the run directory.
        parts: the accuracy with and without them, of the test images and of validation images where there are some.
        suspects: all of them, those of the test images first, and of these the most doubtful ones first.
        table: the file that holds them.
        picture: of the first ones; None if there are none.
    """

    run: str
    parts: tuple[Without, ...]
    suspects: tuple[Suspect, ...]
    table: str
    picture: str | None


def labels(
    run: str | Path = DEFAULT_RUN, *, data: str | os.PathLike[str] | None = None, device: Device = "auto"
) -> LabelsResult:
    """Find test and validation images whose labels are suspected to be wrong, by confident learning.

    Training images are left out: what a network has learnt by heart, it does not contradict.

    Args:
        run: the run directory, with a trained model.
        data: where the data of the run lies now, if it has moved; the run remembers.
        device: "cpu", "gpu", or "auto": a GPU where TensorFlow can use one.

    Raises:
        ConfigError: if cleanlab is not installed.
        RunError: if the run has no model, or its model and its data do not belong together.
        DataError: if the data cannot be read, or is not what the run was trained on.

    Example:
        >>> labels("runs/first").suspects[0].suggested
        'frog'
    """
    devices.want(device)
    extras.require("evacli labels", ["cleanlab"], "labels")
    directory = RunDir(run)
    stored = trained.read(directory)
    from evacli import evaluation
    from evacli.doubting import section

    opened = evaluation.open_run(stored, data)
    if opened.difference:
        console.warn(opened.difference)
    parts = _parts(opened)
    with drawing(directory):
        result = _write(directory, parts, opened.data.class_names)
        section.renew(directory)
    return result


def _parts(run: "EvaluatedRun") -> "list[Part]":
    from evacli.doubting.suspects import Part, find

    found = [("test", run.data.test, run.test)]
    if run.data.validation is not None:
        found.append(("validation", run.data.validation, run.validation))
    return [Part(name, split, said, find(said)) for name, split, said in found]


def _write(run: RunDir, parts: "list[Part]", class_names: tuple[str, ...]) -> LabelsResult:
    from evacli.figures.labels import draw_suspects
    from evacli.figures.style import save

    found = tuple(_suspect(part, i, class_names) for part in parts for i in part.suspects)
    write_text_atomically(run.label_issues, _to_csv(found))
    if found:
        images = (part.split.images.read([i])[0] for part in parts for i in part.suspects)
        shown = list(zip(images, found[:SHOWN], strict=False))
        captions = [(s.index, s.given, s.suggested, s.suggested_probability) for _, s in shown]
        save(draw_suspects([image for image, _ in shown], captions, len(found)), run.label_issues_png)
    else:
        run.label_issues_png.unlink(missing_ok=True)
    return LabelsResult(
        run=str(run.path),
        parts=tuple(_without(part) for part in parts),
        suspects=found,
        table=str(run.label_issues),
        picture=str(run.label_issues_png) if found else None,
    )


def _to_csv(found: tuple[Suspect, ...]) -> str:
    rows = ([f"{cell:.6g}" if isinstance(cell, float) else cell for cell in msgspec.structs.astuple(s)] for s in found)
    return spreadsheet.to_csv(Suspect.__struct_fields__, rows)


def _suspect(part: "Part", i: int, class_names: tuple[str, ...]) -> Suspect:
    given, suggested = part.said.labels[i], part.said.predicted[i]
    return Suspect(
        part=part.name,
        index=int(i),
        name=part.split.names[i],
        given=class_names[given],
        given_probability=float(part.said.probabilities[i, given]),
        suggested=class_names[suggested],
        suggested_probability=float(part.said.probabilities[i, suggested]),
    )


def _without(part: "Part") -> Without:
    return Without(
        part=part.name,
        images=len(part.split),
        suspects=len(part.suspects),
        accuracy=part.said.accuracy,
        accuracy_without=part.said.accuracy_without(part.suspects),
    )
