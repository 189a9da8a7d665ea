"""Numbers and settings as a person reads them."""

from collections.abc import Sequence
from typing import Any

DASH = "\N{EN DASH}"  # where there is nothing


def percent(share: float | None, digits: int = 2) -> str:
    """Return a share of 1; a dash for None."""
    return DASH if share is None else f"{share:.{digits}%}"


def without_noise(document: Any) -> Any:
    """Return a document, lists and dictionaries in each other, whose accuracies and gaps have 12 digits at most.

    More than that tells only how they were computed.

    Example:
        >>> without_noise({"test_accuracy": 0.44999999999999996, "lr": 0.44999999999999996})
        {'test_accuracy': 0.45, 'lr': 0.44999999999999996}
    """
    if isinstance(document, dict):
        return {name: _rounded(value) if _is_share(name) else without_noise(value) for name, value in document.items()}
    return [without_noise(item) for item in document] if isinstance(document, list | tuple) else document


def _is_share(name: object) -> bool:
    return str(name).endswith(("accuracy", "gap"))


def _rounded(value: Any) -> Any:
    return float(f"{value:.12g}") if isinstance(value, float) else without_noise(value)


def rough(share: float) -> str:
    """Return a probability in a few characters."""
    return f"{share:.0%}" if share >= 0.1 else f"{share:.1%}"


def points(share: float | None) -> str:
    """Return a difference of two shares of 1 in percentage points, with its sign; a dash for None."""
    return DASH if share is None else f"{100 * share:+.2f}"


def loss(nats: float | None) -> str:
    """Return a cross-entropy; a dash for None."""
    return DASH if nats is None else f"{nats:.4f}"


def count(number: int) -> str:
    """Return a number of things, with its thousands set apart."""
    return f"{number:,}"


def counted(number: int, thing: str) -> str:
    """Return a number of things with their name, which ends in s unless there is one.

    Example:
        >>> counted(1, "epoch"), counted(2000, "test image"), counted(3, "class")
        ('1 epoch', '2,000 test images', '3 classes')
    """
    plural = "" if number == 1 else "es" if thing.endswith(("s", "sh", "tch", "x")) else "s"
    return f"{count(number)} {thing}{plural}"


def joined(names: Sequence[str], word: str = "and") -> str:
    """Return the names with commas between, and a word before the last.

    Example:
        >>> joined(["cutout", "crop", "flip"], "or")
        'cutout, crop or flip'
    """
    return f" {word} ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def duration(seconds: float) -> str:
    """Return `seconds` as h:mm:ss, or m:ss below an hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def spelled(value: object) -> object:
    """Return the value of a setting: yes and no for truth, a dash for None, anything else as it is."""
    if value is None:
        return DASH
    return ("no", "yes")[value] if isinstance(value, bool) else value
