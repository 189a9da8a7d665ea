"""What a training came to, to and from `summary.json`."""

import json
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from evacli.errors import RunError
from evacli.rundir import RunDir, write_text_atomically

MAX_BYTES = 16 * 2**20

Share = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=0)]


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a training and what is needed to use its best model.

    Attributes:
        state: whether the training reached its last epoch, can go on, or met a loss that is not finite.
        epochs_done: how many epochs the history has.
        top_accuracy: the highest accuracy, a share of 1, on the split that chose the epoch.
        top_epoch: the epoch of the top accuracy, counted from 1; the best model is from its end; 0 before any is done.
        chosen_by: the split that the top epoch was chosen on.
        class_names: the name of each output of the network.
        train_images: how many images the network learnt from.
        validation_images: how many were held back by `--val-split`.
        test_images: how many it is judged on.
        lr: the learning rate of the recipe.
        lr_source: where that rate came from, as a person reads it.
        model: the `--model` of the run.
        parameters: how many numbers the network has, those that do not train included.
        data_fingerprint: `Data.fingerprint` of what it was trained on.
        seconds: time spent training.
        images_per_second: training images over that time.
        versions: versions and settings that the result depends on, by name.
    """

    state: Literal["finished", "unfinished", "failed"]
    epochs_done: Count
    top_accuracy: Share
    top_epoch: Count
    chosen_by: Literal["test", "validation"]
    class_names: Annotated[tuple[str, ...], Meta(min_length=1)]
    train_images: Count
    validation_images: Count = 0
    test_images: Count
    lr: float
    lr_source: str
    model: str
    parameters: Count
    data_fingerprint: str
    seconds: float
    images_per_second: float
    versions: dict[str, str] = {}


def read(run: RunDir) -> Summary:
    """The summary stored in the run.

    Raises:
        RunError: if it is missing or is not a summary.
    """
    fix = f"Run evacli train{run.option}; it writes the file."
    try:
        if run.summary.stat().st_size > MAX_BYTES:
            raise RunError(f"{run.summary} is larger than {MAX_BYTES >> 20} MiB, no summary of a training.", fix)
        # Not msgspec's parser: it refuses the lone surrogates that a class name, once a folder name, may hold.
        return msgspec.convert(json.loads(run.summary.read_bytes()), Summary)
    except FileNotFoundError as e:
        raise RunError(f"{run.path} has no {run.summary.name}.", fix) from e
    except (OSError, ValueError, RecursionError) as e:
        raise RunError(f"{run.summary} is not a summary of a training: {e}.", fix) from e


def write(run: RunDir, summary: Summary) -> None:
    """Stores the summary in the run."""
    write_text_atomically(run.summary, json.dumps(msgspec.to_builtins(summary), indent=2) + "\n")
