"""HTML pages: one file each that needs nothing else."""

from base64 import b64encode
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from evacli import __version__, formats
from evacli.console import printable
from evacli.imaging import opencv
from evacli.run.directory import read_small

MAX_PICTURE_BYTES, MAX_PIXELS = 64 * 2**20, 64 * 2**20
WEBP_SIDE = 16383  # the format has no larger ones
PHOTOGRAPHIC, LOSSLESS = 90, 101  # WebP qualities; above 100 OpenCV loses nothing
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_FILTERS = (formats.percent, formats.rough, formats.count, formats.duration, formats.spelled)


def render(template: str, **parts: Any) -> str:
    """The page as HTML; every text in `parts` is escaped, control characters are spelled out."""
    environment = Environment(
        loader=PackageLoader("evacli.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: printable(value) if type(value) is str else value,
    )
    environment.filters.update({filter_.__name__: filter_ for filter_ in _FILTERS})
    return environment.get_template(template).render(parts, version=__version__)


def embed_picture(path: Path, *, photographic: bool = False) -> str | None:
    """The PNG file at `path` as a data URI of a smaller format, None if there is none that can be read.

    Args:
        path: a picture of the run.
        photographic: whether a loss that the eye does not see may make it smaller still.
    """
    content = b""
    with suppress(OSError, ValueError):
        content = read_small(path, MAX_PICTURE_BYTES)
    if not content.startswith(PNG_SIGNATURE) or _pixel_count(content) > MAX_PIXELS:
        return None
    cv2 = opencv()
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    if pixels is None:
        return None
    if max(pixels.shape) > WEBP_SIDE:
        return embed(content)
    _, webp = cv2.imencode(".webp", pixels, [cv2.IMWRITE_WEBP_QUALITY, PHOTOGRAPHIC if photographic else LOSSLESS])
    return embed(webp.tobytes(), "webp")


def _pixel_count(png: bytes) -> int:
    # A few bytes can ask for any number of pixels; the header tells how many.
    width, height = (int.from_bytes(png[at : at + 4]) for at in (16, 20))
    return width * height


def embed(picture: bytes, kind: str = "png") -> str:
    """The bytes of a picture as a data URI."""
    return f"data:image/{kind};base64," + b64encode(picture).decode("ascii")
