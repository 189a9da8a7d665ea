"""HTML pages: one file each that needs nothing else."""

from base64 import b64encode
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from evacli import formats
from evacli.console import printable
from evacli.version import __version__

_FILTERS = (formats.percent, formats.rough, formats.count, formats.counted, formats.joined, formats.duration)


def render(template: str, **parts: Any) -> str:
    """Render the page as HTML; every text in `parts` is escaped, control characters are spelled out."""
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


def embed(picture: bytes, kind: str = "png") -> str:
    """Return the bytes of a picture as a data URI."""
    return f"data:image/{kind};base64," + b64encode(picture).decode("ascii")
