"""What a training came to, to and from `summary.json`."""

from contextlib import suppress
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from evacli.errors import RunBusy, RunError
from evacli.formats import counted, without_noise
from evacli.messages import listed
from evacli.notebook import Displayed
from evacli.paths import model_name
from evacli.run import documents
from evacli.run.directory import RunDir
from evacli.run.history import Finite
from evacli.run.locking import exclusive

State = Literal["finished", "unfinished", "failed"]
Share = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=0)]


class Origin(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the weights that a training began with come from.

    Attributes:
        weights: "imagenet", or the name of their file.
        source: the address or the path of that file.
        licence: under which they were given.
        sha256: the digest of the file.
    """

    weights: str
    source: str
    licence: str
    sha256: str


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """What to try next, and why.

    Attributes:
        cause: what seems to be wrong, in a few words.
        reason: what in the run speaks for it, a sentence.
        command: what to try.
    """

    cause: str
    reason: str
    command: str


class Summary(Displayed, frozen=True, kw_only=True):
    """The outcome of a training and what is needed to use its best model.

    Attributes:
        state: whether the training reached its last epoch, can go on, or met a loss that is not finite.
        epochs_done: how many epochs the history has.
        epochs_tested: how many of those were tested; None in summaries from before `--test-every`, where all were.
        top_accuracy: the highest accuracy, a share of 1, on the split that chose the epoch.
        top_epoch: the epoch of the top accuracy, counted from 1; the best model is from its end; 0 before any is done.
        test_accuracy: the best model's accuracy on the test images; equal to the top accuracy where they chose it.
        balanced_accuracy: on those, the mean recall of the classes; None where it is not known.
        macro_f1: on those, the mean F1 of the classes; None where it is not known.
        chosen_by: the split that the top epoch was chosen on.
        tta: whether these accuracies evaluate each image together with its mirror image.
        class_names: the name of each output of the network.
        train_images: how many images the network learnt from.
        validation_images: how many choose the best epoch, held back by `--val-split` or a split of the data.
        test_images: how many it is evaluated on.
        lr: the peak learning rate.
        lr_source: where that rate came from, as a person reads it.
        model: the `--model` of the run; of a file its name, not where it lies.
        parameters: how many numbers the network has, those that do not train included.
        pretrained: where the weights come from that it began with; None: they were random.
        data_fingerprint: `Data.fingerprint` of what it was trained on.
        seconds: time spent training.
        images_per_second: training images over that time.
        skipped_steps: those whose gradients overflowed in float16.
        versions: versions and settings that the result depends on, by name.
        advice: what to try next, once a report has looked at the run; a training that goes on forgets it.
    """

    state: State
    epochs_done: Count
    epochs_tested: Count | None = None
    top_accuracy: Share
    top_epoch: Count
    test_accuracy: Share
    balanced_accuracy: Share | None = None
    macro_f1: Share | None = None
    chosen_by: Literal["test", "validation"]
    tta: bool = False
    class_names: Annotated[tuple[str, ...], Meta(min_length=1)]
    train_images: Count
    validation_images: Count = 0
    test_images: Count
    lr: Finite
    lr_source: str
    model: str
    parameters: Count
    pretrained: Origin | None = None
    data_fingerprint: str
    seconds: Finite
    images_per_second: Finite
    skipped_steps: Count = 0
    versions: dict[str, str] = msgspec.field(default_factory=dict)
    advice: tuple[Advice, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        if self.top_epoch > self.epochs_done:
            raise ValueError(f"its top epoch is {self.top_epoch} of {self.epochs_done}")

    @property
    def tested_once(self) -> bool:
        """Whether the top epoch is the only one that was tested, so that the test images chose nothing."""
        return self.chosen_by == "test" and self.epochs_tested == 1

    @property
    def choice(self) -> str:
        """How the top epoch came to be chosen, as a person reads it."""
        return "the only one that was tested" if self.tested_once else f"chosen by {self.chosen_by} accuracy"


def ending(state: State, who: str, done: int, epochs: int) -> str:
    """Return a sentence on a training that has not come to its end, empty if it has.

    Example:
        >>> ending("unfinished", "runs/a", 3, 10)
        'runs/a is unfinished: 3 of 10 epochs done.'
    """
    so_far = f"{done} of {counted(epochs, 'epoch')}"
    return {
        "finished": "",
        "unfinished": f"{who} is unfinished: {so_far} done.",
        "failed": f"{who} failed after {so_far}: its loss was no longer finite.",
    }[state]


def read(run: RunDir) -> Summary:
    """Return the summary stored in the run.

    Raises:
        RunError: if it is missing or is not a summary.
    """
    fix = f"Run evacli train{run.option}; it writes the file."
    try:
        found = documents.read(run.summary, Summary)
    except FileNotFoundError as e:
        raise RunError(f"{run.path} has no {run.summary.name}.", fix) from e
    except documents.UNREADABLE as e:
        raise RunError(f"{run.summary} is not a summary of a training: {e}.", fix) from e
    return msgspec.structs.replace(found, model=model_name(found.model))  # earlier versions wrote the path


def write(run: RunDir, summary: Summary) -> None:
    """Store the summary in the run."""
    documents.write(run.summary, without_noise(msgspec.to_builtins(summary)))


def advise(run: RunDir, advice: tuple[Advice, ...]) -> None:
    """Store what to try next, unless the run is being trained, which writes its own summary."""
    with suppress(RunBusy), exclusive(run):
        write(run, msgspec.structs.replace(read(run), advice=advice))


def class_difference(expected: tuple[str, ...], found: tuple[str, ...]) -> str:
    """Tell how two lists of class names, which are not the same, differ."""
    missing = [name for name in expected if name not in found]
    extra = [name for name in found if name not in expected]
    if not (missing or extra):
        return "the same names in another order"
    parts = (("without ", missing), ("with the new ", extra))
    return ", ".join(prefix + listed([repr(name[:40]) for name in names], 3) for prefix, names in parts if names)
