"""What follows from a range test: pure functions of its curve and of its short trainings."""

from collections.abc import Sequence
from typing import NamedTuple

from evacli.catalogue.optimizers import OPTIMIZERS
from evacli.config import Config
from evacli.engine.hyperparameters import inertia
from evacli.errors import NoSuggestion
from evacli.formats import counted
from evacli.lr_finder.search import choose
from evacli.lr_finder.suggest import bottom, halfway, onset, reason_to_stop, rules_for, suggest
from evacli.run.lr_result import Curve, Effort, LrFindResult, Range, ShortTraining

SHORT_TRAININGS, BOTTOM, CUSTOMARY = "short trainings", "bottom", "customary"
NOISY = "Single batches differ more than the loss of the sweep falls"


def conclude(
    curve: Curve,
    swept: Range,
    made_with: Config,
    effort: Effort | None = None,
    short_trainings: Sequence[ShortTraining] = (),
) -> LrFindResult:
    """Return what follows from a range test.

    Short trainings decide where there are some, else the curve; where that does not tell, the optimizer's customary
    rate is what is left. Nothing is suggested only where nothing is learnt.

    Args:
        curve: of the sweep.
        swept: the rates that it was to try.
        made_with: the settings.
        effort: that was asked for.
        short_trainings: by rising rate.
    """
    read = bottom(curve.learning_rates, curve.losses)
    found = _from_trainings(short_trainings, read) if short_trainings else _from_sweep(read, swept, made_with)
    others, base_lr = _other_rules(curve, made_with)
    taken: dict[str, float | None] = {found.rule: found.lr} if found else {}
    return LrFindResult(
        lr=found.lr if found else None,
        low=found.low if found else None,
        high=found.high if found else None,
        certainty=found.certainty if found else "",
        rule=found.rule if found else SHORT_TRAININGS if short_trainings else BOTTOM,
        suggestions=taken | others,
        base_lr=base_lr,
        problem=None if found else _nothing(swept),
        effort=effort,
        short_trainings=tuple(short_trainings),
        range=swept,
        steps_taken=len(curve.losses),
        stopped=reason_to_stop(curve.losses) if len(curve.losses) < swept.steps else None,
        config=made_with,
        curve=curve,
    )


class Found(NamedTuple):
    """A suggestion, where it comes from and how sure it is."""

    rule: str
    lr: float
    low: float | None
    high: float | None
    certainty: str


def _from_trainings(trainings: Sequence[ShortTraining], read: float | None) -> Found | None:
    choice = choose(trainings)
    if choice is None:
        return None
    told = f"Of {counted(len(trainings), 'short training')}"
    if choice.low < choice.high:
        words = f"{told} those from {choice.low:.2g} to {choice.high:.2g} came about equally far."
    else:
        words = f"{told} the one at {choice.lr:.2g} came farthest, those beside it clearly less far."
    ends = (choice.low == trainings[0].lr, "lower"), (choice.high == trainings[-1].lr, "higher")
    if beyond := [side for reached, side in ends if reached]:
        words += f" No {' or '.join(beyond)} rate was tried."
    return Found(SHORT_TRAININGS, *choice, words if read else f"{NOISY}, so short trainings alone decide. {words}")


def _from_sweep(read: float | None, swept: Range, made_with: Config) -> Found | None:
    customary = OPTIMIZERS[made_with.optimizer].lr
    lr = halfway(read, customary, (swept.min_lr, swept.max_lr))
    told = f"{customary:.2g}, which is customary for {made_with.optimizer}"
    if read is not None:
        words = f"Halfway between {read:.2g}, the middle of the bottom of the curve, and {told}."
        return Found(BOTTOM, lr, min(read, customary), max(read, customary), words)
    if lr != customary:
        return None
    return Found(CUSTOMARY, lr, None, None, f"{NOISY}, so this is {told}. --effort thorough looks closer.")


def _nothing(swept: Range) -> str:
    return (
        f"Nothing is learnt at learning rates from {swept.min_lr:.3g} to {swept.max_lr:.3g}. "
        "Try another range (--min-lr, --max-lr), --effort thorough or a larger --batch-size."
    )


def _other_rules(curve: Curve, made_with: Config) -> tuple[dict[str, float | None], float | None]:
    """Return what other rules suggest, and where the loss begins to fall; None where the curve does not tell."""
    rules = rules_for(inertia(made_with)) | {"onset": onset}
    try:
        suggestions = suggest(curve.learning_rates, curve.losses, rules)
    except NoSuggestion:
        suggestions = dict.fromkeys(rules)
    base_lr = suggestions.pop("onset")
    return suggestions, base_lr
