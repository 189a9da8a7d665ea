"""What makes a comparison doubtful."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from evacli.comparing.contenders import Contender
from evacli.config import option

# Settings that choose which images of the same data are learnt from; the test images stay the same.
_PARTS = ("val_split", "limit_train", "seed")


def doubts(contenders: Sequence[Contender]) -> list[str]:
    """A sentence for each reason not to take the figures at face value."""
    unequal = (_unequal_data, _unequal_choice, _unequal_judging, _unequal_machines)
    found = (of(contenders) for of in unequal)
    return [text for text in (*found, *map(_state, contenders)) if text]


def _unequal_data(contenders: Sequence[Contender]) -> str:
    if len({c.trained.data_fingerprint for c in contenders}) == 1:
        return ""
    parts = defaultdict(set)
    for c in contenders:
        parts[_source(c), _part(c)].add(c.trained.data_fingerprint)
    explained = all(len(fingerprints) == 1 for fingerprints in parts.values())
    if explained and len({source for source, _ in parts}) == 1:
        options = ", ".join(map(option, _differing_parts(contenders)))
        return f"The runs learnt from different parts of the same data ({options}); the test images are the same."
    return f"The runs have different images, so their accuracies cannot be compared: {_grouped(contenders, _images)}."


def _source(contender: Contender) -> tuple[Any, ...]:
    """What settles the test images, unless the data itself has changed."""
    c, trained = contender.config, contender.trained
    chosen = (c.limit_test, c.seed) if c.limit_test is not None else ()
    return c.data or c.dataset, c.skip_bad, chosen, trained.test_images, trained.class_names


def _part(contender: Contender) -> tuple[Any, ...]:
    c = contender.config
    return c.val_split, c.limit_train, c.seed if _draws(contender) else None


def _draws(contender: Contender) -> bool:
    """Whether the seed settles which images are learnt from."""
    return bool(contender.config.val_split) or contender.config.limit_train is not None


def _differing_parts(contenders: Iterable[Contender]) -> list[str]:
    that_matter = dict.fromkeys(_PARTS, contenders) | {"seed": list(filter(_draws, contenders))}
    return [name for name, of in that_matter.items() if len({getattr(c.config, name) for c in of}) > 1]


def _images(contender: Contender) -> str:
    trained = contender.trained
    return (
        f"{contender.settings['data']}, {trained.train_images:,} + {trained.test_images:,} images, "
        f"fingerprint {trained.data_fingerprint[:6]}"
    )


def _grouped(contenders: Iterable[Contender], trait: Callable[[Contender], str]) -> str:
    groups = defaultdict(list)
    for c in contenders:
        groups[trait(c)].append(c.label)
    return "; ".join(f"{', '.join(labels)}: {value}" for value, labels in groups.items())


def _unequal_choice(contenders: Sequence[Contender]) -> str:
    if len({c.trained.chosen_by for c in contenders}) == 1:
        return ""
    return (
        "Top accuracies are of different images; compare the test accuracies instead, which flatter the runs whose "
        f"epoch the test images chose ({_grouped(contenders, lambda c: c.trained.chosen_by)})."
    )


def _unequal_judging(contenders: Sequence[Contender]) -> str:
    mirrored = [c.label for c in contenders if c.trained.mirror_test]
    if len(mirrored) in (0, len(contenders)):
        return ""
    return f"Only some runs judge each image together with its mirror image, worth a little: {', '.join(mirrored)}."


def _unequal_machines(contenders: Sequence[Contender]) -> str:
    def machine(c: Contender) -> str:
        return f"{c.trained.versions.get('cores', '?')} cores of {c.trained.versions.get('machine', '?')}"

    if len(set(map(machine, contenders))) == 1:
        return ""
    return f"The times are of different machines: {_grouped(contenders, machine)}."


def _state(contender: Contender) -> str:
    done = f"{len(contender.rows)} of {contender.config.epochs} epochs"
    return {
        "finished": "",
        "unfinished": f"{contender.label} is unfinished: {done} are done.",
        "failed": f"{contender.label} failed after {done}: its loss was no longer finite.",
    }[contender.trained.state]
