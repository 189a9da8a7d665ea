"""Words for what is wrong: what msgspec says about a value, and long lists, as a person says it."""

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

MAX_TEXT = 200  # characters of what strangers wrote that a message repeats
_KINDS = {"int": "a whole number", "float": "a number", "str": "a text", "bool": "true or false"}
_LIMITS = {">=": "at least", "<=": "at most", ">": "more than", "<": "less than"}


def in_words(reason: str) -> str:
    """Return a validation error of msgspec, the place left out: "Expected `int` >= 1" becomes "must be at least 1"."""
    reason = reason.partition(" - at `")[0].replace("`", "")
    if limit := re.fullmatch(r"Expected (?:int|float) ([<>]=?) (\S+)", reason):
        return f"must be {_LIMITS[limit[1]]} {float(limit[2]):,.12g}"
    if kind := re.match(r"Expected (int|float|str|bool)\b", reason):
        if "matching regex" in reason:
            return "has characters that no path can have"
        return "must not be empty" if "length" in reason else f"must be {_KINDS[kind[1]]}"
    if reason.startswith("Invalid enum value"):
        return "there is no such choice"
    return reason[0].lower() + reason[1:]


def field_of(reason: str) -> str:
    """Return the name of the field that a validation error of msgspec is about, empty if it names none."""
    return reason.partition(" - at `$.")[2].rstrip("`")


def listed(names: Sequence[str], most: int = 10) -> str:
    """Return the names with commas between; after the first `most`, how many more there are."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def meant(word: object, names: Iterable[str]) -> str:
    """Asks whether the nearest of the names was meant, with a space at the end; empty if none is near.

    Example:
        meant("adm", ["adam", "sgd"]) == "Did you mean adam? "
    """
    nearest = get_close_matches(str(word), list(names), 1)
    return f"Did you mean {nearest[0]}? " if nearest else ""


def short(text: object) -> str:
    """Return what strangers wrote as a message may have it: on one line, of sane length.

    Example:
        >>> len(short("x" * 10**6))
        203
    """
    line = " ".join(str(text).split())
    return line if len(line) <= MAX_TEXT else f"{line[:MAX_TEXT]}..."
