"""What a range test found, to and from the run directory."""

import math
from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from evacli import spreadsheet
from evacli.config import Config, differences
from evacli.errors import RunError
from evacli.notebook import Displayed
from evacli.run import config_file, documents, tables
from evacli.run.directory import RunDir, write_text_atomically

Stop = Literal["diverged", "not finite"]
Mode = Literal["exp", "linear"]
Effort = Literal["quick", "normal", "thorough"]
MIN_STEPS = 25  # both ends of a curve tell nothing, and ten steps between them are the least
LearningRate = Annotated[float, Meta(gt=0, le=1e6)]

# Settings that leave the curve as it is, or that a range test overrides.
IRRELEVANT = frozenset({"lr", "epochs", "seed", "precision", "val_split", "limit_test", "skip_bad"}) | {
    "test_every",
    "tta",
    "schedule",
    "warmup_epochs",
    "base_lr",
    "cycle",
    "cycles",
    "drop_factor",
    "grow_batch",
}


class Range(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The learning rates of a sweep: `steps` of them from `min_lr` to `max_lr`, both included.

    Each is the one before times a constant ("exp") or plus a constant ("linear").
    """

    min_lr: LearningRate
    max_lr: LearningRate
    steps: Annotated[int, Meta(ge=MIN_STEPS, le=100_000)]
    mode: Mode

    def learning_rates(self) -> list[float]:
        """Return the rate of every step."""
        shares = (step / (self.steps - 1) for step in range(self.steps))
        if self.mode == "exp":
            return [self.min_lr ** (1 - share) * self.max_lr**share for share in shares]
        return [self.min_lr * (1 - share) + self.max_lr * share for share in shares]


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """The steps that a sweep took: the learning rate and the loss, in nats and not smoothed, of each one's batch."""

    learning_rates: list[float]
    losses: list[float]


def smoothed_around(losses: Sequence[float]) -> list[float]:
    """Smooth losses with a Gaussian around each step, a fortieth of all wide; from a bad one on, leave them."""
    import numpy as np
    from scipy.ndimage import gaussian_filter1d

    good = next((i for i, loss in enumerate(losses) if not math.isfinite(loss)), len(losses))
    width = max(1.0, len(losses) / 40)
    smoothed = gaussian_filter1d(np.asarray(losses[:good], float), width, mode="nearest")
    return [*smoothed.tolist(), *losses[good:]] if good else list(losses)


class ShortTraining(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A training of a few dozen steps under the whole schedule, from the network's first weights.

    Attributes:
        lr: its peak rate.
        steps: how many it had.
        began: the loss of its first batch, in nats, before any step; None if not finite.
        loss: mean over its last steps, in nats; None if it diverged.
    """

    lr: LearningRate
    steps: int
    began: float | None
    loss: float | None


class LrFindResult(Displayed, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A range test and what follows from it.

    Attributes:
        lr: what is suggested; None where nothing is learnt.
        low: the lowest rate that looks about as good.
        high: the highest such rate.
        certainty: in words, how sure the suggestion is, and what it rests on.
        rule: where it comes from: "short trainings", "bottom" (of the sweep's curve) or "customary".
        suggestions: what that and other rules suggest.
        base_lr: where the loss begins to fall, the lower end of a cyclical schedule.
        problem: why nothing is suggested.
        effort: how much was tried; None if `steps` was said.
        short_trainings: by rising rate.
        range: the learning rates that were to be tried.
        steps_taken: how many were.
        stopped: why not all of them; see `lr_finder.suggest.reason_to_stop`.
        config: the settings it was made with.
        curve: the steps; None in a result that was read from the run, where `read_curve` reads them.
    """

    lr: LearningRate | None
    low: LearningRate | None = None
    high: LearningRate | None = None
    certainty: str = ""
    rule: str
    suggestions: dict[str, LearningRate | None]
    base_lr: LearningRate | None = None
    problem: str | None
    effort: Effort | None = None
    short_trainings: tuple[ShortTraining, ...] = ()
    range: Range
    steps_taken: int
    stopped: Stop | None
    config: Config
    curve: Curve | None = None


def write(run: RunDir, result: LrFindResult, curve: Curve) -> None:
    """Store the result, and its curve with the smoothed losses beside it, in the run."""
    write_text_atomically(run.lr_find_csv, _to_csv(curve))
    documents.write(run.lr_find_json, msgspec.structs.replace(result, curve=None))


def suggestion(run: RunDir) -> LrFindResult | None:
    """Return the run's range test if it suggests a learning rate (`lr` is then a number), else None.

    Raises:
        RunError: if the file is not what `lr-find` wrote.
    """
    try:
        result = documents.read(run.lr_find_json, LrFindResult)
    except FileNotFoundError:
        return None
    except documents.UNREADABLE as e:
        raise RunError(
            f"{run.lr_find_json} is not the result of a range test: {e}.", f"Run again: evacli lr-find{run.option}"
        ) from e
    made_with = config_file.located(run, result.config)
    return msgspec.structs.replace(result, config=made_with) if result.lr is not None else None


def fits(result: LrFindResult, config: Config) -> list[str]:
    """Return the settings that differ between a range test and a training, and that its suggestion depends on.

    Args:
        result: of the range test.
        config: of the training, resolved: `None` only where it means none.
    """
    return [field for field in differences(result.config, config) if field not in IRRELEVANT]


def read_curve(run: RunDir) -> Curve:
    """Return the steps stored in the run.

    Raises:
        RunError: if the file is missing or is not what `lr-find` wrote.
    """
    try:
        steps = [(float(row["lr"]), float(row["loss"])) for row in tables.read(run.lr_find_csv)]
        learning_rates, losses = zip(*steps, strict=True)  # also refuses a table without rows
    except tables.UNREADABLE as e:
        raise RunError(
            f"{run.lr_find_csv} is not the curve of a range test.", f"Run: evacli lr-find{run.option}"
        ) from e
    return Curve(learning_rates=list(learning_rates), losses=list(losses))


def _to_csv(curve: Curve) -> str:
    rows = zip(range(len(curve.losses)), curve.learning_rates, curve.losses, smoothed_around(curve.losses), strict=True)
    return spreadsheet.to_csv(("step", "lr", "loss", "smoothed_loss"), rows)
