"""What makes a comparison doubtful."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from evacli.comparing.runs import TrainedRun
from evacli.config import option
from evacli.run.summary import ending

# Settings that choose which images of the same data are learnt from; the test images stay the same.
_PARTS = ("val_split", "limit_train", "seed")


def warnings_about(runs: Sequence[TrainedRun]) -> list[str]:
    """Return a sentence for each reason not to take the figures at face value."""
    unequal = (_unequal_data, _unequal_choice, _unequal_tta, _unequal_machines)
    found = (of(runs) for of in unequal)
    return [text for text in (*found, *map(_state, runs)) if text]


def _unequal_data(runs: Sequence[TrainedRun]) -> str:
    if len({c.trained.data_fingerprint for c in runs}) == 1:
        return ""
    parts = defaultdict(set)
    for c in runs:
        parts[_source(c), _part(c)].add(c.trained.data_fingerprint)
    explained = all(len(fingerprints) == 1 for fingerprints in parts.values())
    if explained and len({source for source, _ in parts}) == 1:
        options = ", ".join(map(option, _differing_parts(runs)))
        return f"The runs learnt from different parts of the same data ({options}); the test images are the same."
    return f"The runs have different images, so their accuracies cannot be compared: {_grouped(runs, _images)}."


def _source(run: TrainedRun) -> tuple[Any, ...]:
    """Return what settles the test images, unless the data itself has changed."""
    c, trained = run.config, run.trained
    chosen = (c.limit_test, c.seed) if c.limit_test is not None else ()
    return run.source, chosen, trained.test_images, trained.class_names


def _part(run: TrainedRun) -> tuple[Any, ...]:
    c = run.config
    return c.val_split, c.limit_train, c.seed if _draws(run) else None


def _draws(run: TrainedRun) -> bool:
    """Tell whether the seed settles which images are learnt from."""
    return bool(run.config.val_split) or run.config.limit_train is not None


def _differing_parts(runs: Iterable[TrainedRun]) -> list[str]:
    that_matter = dict.fromkeys(_PARTS, runs) | {"seed": list(filter(_draws, runs))}
    return [name for name, of in that_matter.items() if len({getattr(c.config, name) for c in of}) > 1]


def _images(run: TrainedRun) -> str:
    trained = run.trained
    return (
        f"{run.data}, {trained.train_images:,} + {trained.test_images:,} images, "
        f"fingerprint {trained.data_fingerprint[:6]}"
    )


def _grouped(runs: Iterable[TrainedRun], trait: Callable[[TrainedRun], str]) -> str:
    groups = defaultdict(list)
    for c in runs:
        groups[trait(c)].append(c.label)
    return "; ".join(f"{', '.join(labels)}: {value}" for value, labels in groups.items())


def _unequal_choice(runs: Sequence[TrainedRun]) -> str:
    if len({c.trained.chosen_by for c in runs}) == 1:
        return ""
    return (
        "Top accuracies are of different images; compare the test accuracies instead, which flatter the runs whose "
        f"epoch the test images chose ({_grouped(runs, lambda c: c.trained.chosen_by)})."
    )


def _unequal_tta(runs: Sequence[TrainedRun]) -> str:
    with_tta = [c.label for c in runs if c.trained.tta]
    if len(with_tta) in (0, len(runs)):
        return ""
    return f"Only some runs evaluate each image together with its mirror image, worth a little: {', '.join(with_tta)}."


def _unequal_machines(runs: Sequence[TrainedRun]) -> str:
    def machine(c: TrainedRun) -> str:
        return f"{c.trained.versions.get('cores', '?')} cores of {c.trained.versions.get('machine', '?')}"

    if len(set(map(machine, runs))) == 1:
        return ""
    return f"The times are of different machines: {_grouped(runs, machine)}."


def _state(run: TrainedRun) -> str:
    return ending(run.trained.state, run.label, len(run.rows), run.config.epochs)
