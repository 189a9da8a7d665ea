"""HTML pages: one file each that needs nothing else."""

from base64 import b64encode
from contextlib import suppress
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from evacli import __version__, formats
from evacli.console import printable
from evacli.run.directory import read_small

MAX_PICTURE_BYTES = 64 * 2**20
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


def embed_picture(path: Path) -> str | None:
    """The PNG file at `path` as a data URI, None if there is none that can be read."""
    content = b""
    with suppress(OSError, ValueError):
        content = read_small(path, MAX_PICTURE_BYTES)
    return embed(content) if content.startswith(PNG_SIGNATURE) else None


def embed(png: bytes) -> str:
    """PNG bytes as a data URI."""
    return "data:image/png;base64," + b64encode(png).decode("ascii")
