"""The way to OpenCV, whose import fails on machines without a screen's libraries."""

from typing import Any

from evacli.errors import EvacliError


def opencv() -> Any:
    """Return the module `cv2`.

    Raises:
        EvacliError: saying what to install, if a library of the operating system is missing.
    """
    try:
        import cv2
    except ImportError as e:
        raise EvacliError(
            f"OpenCV cannot be imported: {e}.",
            "Run: apt-get install libgl1 libglib2.0-0, or: pip install opencv-python-headless",
        ) from e
    return cv2
