"""Which test images are explained, and in which order."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from evacli.data.names import from_file
from evacli.errors import ConfigError
from evacli.explaining.options import Kind, Of, Select

if TYPE_CHECKING:
    from evacli.evaluation import EvaluatedRun


@dataclass(frozen=True)
class Choice:
    """What may be shown.

    Attributes:
        kind: what they are; "least certain" where there is no mistake, "named" where they were asked for by number.
        indices: of the images, those to show first in front.
        images: how many were evaluated; with a class name, how many of that class.
        mistakes: how many of those the network got wrong.
    """

    kind: Kind
    indices: list[int]
    images: int
    mistakes: int


def choose(run: "EvaluatedRun", of: Of, select: Select, class_name: str | None, named: tuple[int, ...] = ()) -> Choice:
    """Choose test images.

    Args:
        run: the evaluated run.
        of: whether those that it got wrong, those that it got right, or all.
        select: `worst`: the highest losses first; `random`: drawn with the run's seed; `first`: as in the data.
        class_name: only images that truly are of this class.
        named: these images, by index, whatever the others say.

    Raises:
        ConfigError: if there is no image of a number that is named.
    """
    said = run.test
    wrong = said.predicted != said.labels
    inside = np.ones(len(wrong), bool)
    if class_name is not None:
        inside = said.labels == [from_file(name) for name in run.data.class_names].index(from_file(class_name))
    images, mistakes = int(inside.sum()), int((inside & wrong).sum())
    if named:
        return Choice("named", _existing(named, len(wrong)), images, mistakes)
    if of == "mistakes" and not mistakes:
        least_certain = np.argsort(said.probabilities.max(axis=1), kind="stable")
        return Choice("least certain", [int(i) for i in least_certain if inside[i]], images, mistakes)
    order = _order(run, select, {"mistakes": wrong, "correct": ~wrong, "all": wrong | ~wrong}[of])
    return Choice(of, [int(i) for i in order if inside[i]], images, mistakes)


def _order(run: "EvaluatedRun", select: Select, wanted: NDArray[np.bool_]) -> NDArray[np.integer]:
    found = np.flatnonzero(wanted)
    if select == "random":
        return np.random.default_rng(run.config.seed).permutation(found)
    return found[np.argsort(-run.test.losses[found], kind="stable")] if select == "worst" else found


def _existing(named: tuple[int, ...], count: int) -> list[int]:
    if missing := [i for i in named if not 0 <= i < count]:
        raise ConfigError(
            f"--index {missing[0]}: there is no such test image.", f"They are numbered from 0 to {count - 1}."
        )
    return list(dict.fromkeys(named))
