"""What to try next: a few lines, each from what a run shows, with its reason and a command.

The thresholds were chosen on eight trainings that were wrong on purpose; docs/what-to-try-next.md has them, and tells
how the rules did on eight others.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from shlex import quote

import numpy as np
from numpy.typing import NDArray

from evacli.config import command
from evacli.formats import counted
from evacli.run.summary import Advice

MOST = 3  # lines
FEW_EPOCHS = 4  # below which no network has learnt much


@dataclass(frozen=True, kw_only=True)
class Signs:
    """What of a run the rules look at; accuracies are shares of 1.

    Attributes:
        path: its directory.
        run: the option that names it, as " --run runs/a".
        data: the settings that say which images it learns from.
        failed: whether its loss was no longer finite.
        lr: its peak learning rate.
        customary: the one that its optimizer has by default.
        suggested: that of the range test; None without one.
        tried: the least and the most rate that the range test tried; None without one.
        epochs: how many are done.
        train_losses: of each of them.
        accuracies: of each epoch that was tested, on what chooses the best.
        train: on training images, as they are.
        learning: on training images in the best epoch, with augmentation and dropout.
        test: on test images.
        majority: the share of the class that has most test images.
        images_per_class: training images.
        dropout: the largest share that a layer drops.
        parameters: of the network.
        rank: mean place of a mistake's label among the classes that were not said, by their probability: 0 is the
            first of them, 1 the last, 0.5 chance.
        confusions: (C, C) counts on test images; row: true class.
        class_names: C names.
        suspects: how many of the mistakes have a suspected label; None where nobody has looked.
        gentler: options against learning by heart that the training did not use, the simplest first.
        pretrained: whether it began with weights of others.
    """

    path: str
    run: str
    data: Mapping[str, object]
    failed: bool
    lr: float
    customary: float
    suggested: float | None
    tried: tuple[float, float] | None
    epochs: int
    train_losses: tuple[float, ...]
    accuracies: tuple[float, ...]
    train: float
    learning: float
    test: float
    majority: float
    images_per_class: float
    dropout: float
    parameters: int
    rank: float
    confusions: NDArray[np.int64]
    class_names: tuple[str, ...]
    suspects: int | None
    gentler: Mapping[str, object]
    pretrained: bool

    def otherwise(self, **changed: object) -> str:
        """Return the command that trains another run in the same way but for some settings."""
        return command(f"{self.path}-next", changed, recipe=self.path)

    @property
    def gap(self) -> float:
        """How far training is above test accuracy."""
        return self.train - self.test

    @property
    def has_learnt_nothing(self) -> bool:
        """Whether always naming one class would do about as well."""
        return self.accuracies[-1] <= self.majority + 0.03

    @property
    def is_by_heart(self) -> bool:
        """Whether much is known of the training images, and clearly less of others."""
        return self.train >= 0.5 and self.gap >= 0.1

    @property
    def skill(self) -> float:
        """How far test accuracy is from guessing, 0, to perfect, 1."""
        guessing = 1 / len(self.confusions)
        return (self.test - guessing) / (1 - guessing)

    @property
    def rises(self) -> float:
        """How far the training loss rose on its way, as a share of how far it came down."""
        steps = np.diff(self.train_losses)
        return float(steps[steps > 0].sum() / max(-steps.sum(), 1e-3)) if len(steps) else 0.0

    @property
    def mistakes(self) -> NDArray[np.int64]:
        """(C, C - 1) counts of the pairs of classes that were confused."""
        wrong = ~np.eye(len(self.confusions), dtype=bool)
        return self.confusions[wrong].reshape(len(self.confusions), -1)


def advise(signs: Signs) -> tuple[Advice, ...]:
    """Return at most three lines, the likeliest cause first; none where nothing stands out."""
    causes = [found for rule in CAUSES if (found := rule(signs))]
    # A network that has not learnt says nothing about single classes or labels.
    places = [] if signs.has_learnt_nothing else [found for rule in PLACES if (found := rule(signs))]
    return tuple([*causes[: MOST - bool(places)], *places][:MOST])


def _rate_too_high(s: Signs) -> Advice | None:
    best, last = max(s.accuracies), s.accuracies[-1]
    if s.failed:
        why = f"The loss was no longer finite, at a learning rate of up to {s.lr:.3g}."
    elif best - last >= 0.1:
        why = f"Accuracy fell from {best:.1%} to {last:.1%} in the end, at a learning rate of up to {s.lr:.3g}."
    elif s.lr >= 3 * s.customary and s.rises >= 0.2:
        why = f"The training loss rose in between, at rates of up to {s.lr:.3g}; {s.customary:.3g} is customary."
    elif s.has_learnt_nothing and s.lr >= s.customary:
        why = f"Nothing was learnt at a learning rate of up to {s.lr:.3g}; {s.customary:.3g} is customary."
    elif s.lr >= 10 * s.customary and s.train < 0.9 and not s.suggested:
        why = f"Little was learnt at a learning rate of up to {s.lr:.3g}, where {s.customary:.3g} is customary."
    elif s.suggested and s.lr > 3 * s.suggested:
        why = f"The learning rate {s.lr:.3g} is far above the {s.suggested:.3g} that the range test suggests."
    else:
        return None
    lower = s.suggested if s.suggested and s.suggested < s.lr / 2 else s.lr / 10
    return Advice(cause="rate too high", reason=why, command=s.otherwise(lr=f"{lower:.3g}"))


def _hardly_rose(s: Signs) -> bool:
    """Tell whether the training loss only fell; at a tiny rate it may fall by less than it jumps."""
    return s.rises <= 0.05 or s.lr <= s.customary / 20


def _rate_too_low(s: Signs) -> Advice | None:
    if s.suggested and s.lr < s.suggested / 3:
        why = f"The learning rate {s.lr:.3g} is far below the {s.suggested:.3g} that the range test suggests."
    elif s.lr <= s.customary / 5 and s.train < 0.9 and s.epochs > 1 and _hardly_rose(s) and not s.suggested:
        why = f"The loss fell, but not far, at a learning rate of {s.lr:.3g}; {s.customary:.3g} is customary."
    elif s.has_learnt_nothing and s.lr < s.customary:
        why = f"Nothing was learnt at a learning rate of {s.lr:.3g}; {s.customary:.3g} is customary."
    else:
        return None
    return Advice(cause="rate too low", reason=why, command=s.otherwise(lr=f"{s.suggested or s.customary:.3g}"))


def _tiny_data(s: Signs) -> Advice | None:
    if s.images_per_class >= 50 or (s.gap < 0.1 and (s.images_per_class >= 20 or s.test >= 0.9)):
        return None
    why = f"There are {s.images_per_class:.0f} training images a class, which say little about others{_apart(s)}."
    return Advice(
        cause="tiny data", reason=why, command=s.otherwise(**s.gentler) if s.pretrained else _from_pretrained(s)
    )


def _from_pretrained(s: Signs) -> str:
    # Settings for a network that begins with nothing do not suit one that has learnt: the recipe has its own.
    return command(f"{s.path}-next", {**s.data, "model": "mobilenet_v2", "weights": "imagenet"})


def _noisy_labels(s: Signs) -> Advice | None:
    wrong = s.mistakes.sum()
    if len(s.mistakes) < 4 or wrong < max(20, 0.05 * s.confusions.sum()):
        return None
    # What a good network confuses is alike, so that the label is mostly its second choice; a wrong label is any.
    # The less it has learnt, the less alike is what it confuses.
    if s.epochs < FEW_EPOCHS or s.is_by_heart or s.skill < 0.15 or s.rank < (0.3 if s.skill >= 0.2 else 0.4):
        return None
    why = f"Of the {wrong:,} mistakes the labels are hardly likelier than other classes, as wrong labels are."
    return Advice(cause="noisy labels", reason=why, command=f"evacli labels{s.run}")


def _overfit(s: Signs) -> Advice | None:
    if not (s.is_by_heart or (s.train >= 0.9 and s.gap >= 0.05)):
        return None
    why = f"The training images are learnt by heart{_apart(s)}."
    return Advice(cause="overfit", reason=why, command=s.otherwise(**s.gentler))


def _too_much_dropout(s: Signs) -> Advice | None:
    if s.dropout < 0.5 or s.is_by_heart or s.train - s.learning < 0.03:
        return None
    why = (
        f"The network drops {s.dropout:.0%} while it learns: {s.learning:.1%} of the training images were right with "
        f"that, {s.train:.1%} are without."
    )
    return Advice(cause="too much dropout", reason=why, command=s.otherwise(dropout=0.1))


def _too_few_epochs(s: Signs) -> Advice | None:
    third = max(1, len(s.train_losses) // 3)
    falling = len(s.train_losses) > 1 and s.train_losses[-1 - third] >= 1.1 * s.train_losses[-1]
    if s.train >= 0.98 or s.is_by_heart or not (falling or s.epochs < FEW_EPOCHS):
        return None
    why = "The loss was still falling" if falling else "No network learns much"
    more = max(10, 3 * s.epochs)
    reason = f"{why} after {counted(s.epochs, 'epoch')}, and little was learnt by heart{_apart(s)}."
    return Advice(cause="too few epochs", reason=reason, command=s.otherwise(epochs=more))


def _underfit(s: Signs) -> Advice | None:
    if s.train >= 0.9 or s.is_by_heart:
        return None
    why = f"Training and test accuracy are both low{_apart(s)}, and the loss has come to rest"
    if s.parameters < 1_000_000:
        reason = f"{why}: the network of {s.parameters:,} parameters may be too small."
        return Advice(cause="underfit", reason=reason, command=s.otherwise(model="resnet9"))
    return Advice(cause="underfit", reason=f"{why}.", command=s.otherwise(epochs=3 * s.epochs))


def _apart(s: Signs) -> str:
    return f" ({s.train:.1%} of the training images are right, {s.test:.1%} of the test images)"


def _rate_at_the_edge(s: Signs) -> Advice | None:
    if not s.tried or not s.suggested or 2 * s.tried[0] <= s.suggested <= s.tried[1] / 2:
        return None
    low, high = s.tried
    wider = f"--min-lr {low / 100:.3g}" if s.suggested < 2 * low else f"--max-lr {100 * high:.3g}"
    why = f"The suggested rate {s.suggested:.3g} lies at the edge of the rates tried, {low:.3g} to {high:.3g}."
    return Advice(cause="rate at the edge", reason=why, command=f"evacli lr-find{s.run} {wider}")


def _suspected_labels(s: Signs) -> Advice | None:
    if not s.suspects:
        return None
    why = f"Of the {s.mistakes.sum():,} mistakes, {s.suspects:,} may be wrong labels instead."
    return Advice(cause="suspected labels", reason=why, command=f"evacli labels{s.run}")


def _one_class(s: Signs) -> Advice | None:
    wrong, images = s.mistakes.sum(axis=1), s.confusions.sum(axis=1)
    at, total = int(wrong.argmax()), int(wrong.sum())
    share, fair = wrong[at] / max(total, 1), images[at] / max(images.sum(), 1)
    if total < 20 or share < max(0.2, 2 * fair):
        return None
    why = f"{s.class_names[at]} has {share:.0%} of the mistakes and {fair:.0%} of the test images."
    return Advice(cause="one class", reason=why, command=f"evacli gradcam{s.run} --class {quote(s.class_names[at])}")


Rule = Callable[[Signs], Advice | None]
# The first that holds is the likeliest: each supposes that those before it do not.
CAUSES: tuple[Rule, ...] = (
    _rate_too_high,
    _rate_too_low,
    _tiny_data,
    _noisy_labels,
    _overfit,
    _too_much_dropout,
    _too_few_epochs,
    _underfit,
)
# Where to look, whatever the cause.
PLACES: tuple[Rule, ...] = (_rate_at_the_edge, _suspected_labels, _one_class)
