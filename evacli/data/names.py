"""Names that files and folders give to classes and images: the same text on every system, in every locale."""

import os
import unicodedata
from collections.abc import Iterable


def from_file(name: str) -> str:
    """Return the name of a file or folder as the text that its bytes spell in UTF-8.

    Python decodes the names of files with the locale's encoding, so that one folder has different names under
    different locales; and some systems take letters with accents apart. A class's name is to be the same everywhere.

    Args:
        name: as the system gives it, a part of a path.

    Returns:
        The name, composed (NFC); bytes that are not UTF-8 stay lone surrogates, as Python has them under UTF-8.

    Example:
        >>> from_file("cafe\u0301") == "caf\u00e9"
        True
    """
    try:
        text = os.fsencode(name).decode("utf-8", "surrogateescape")
    except UnicodeError:  # no name that this system gives
        text = name
    return unicodedata.normalize("NFC", text)


def as_text(names: Iterable[str]) -> tuple[str, ...]:
    r"""Return names as the text that they are, to compare them with others, however a run has stored them.

    Example:
        >>> as_text(["cafe\u0301", "th\udcc3\udca9"]) == ("caf\u00e9", "th\u00e9")
        True
    """
    return tuple(map(from_file, names))
