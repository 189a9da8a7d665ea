"""HTML pages: one file each that needs nothing else."""

from base64 import b64encode
from hashlib import sha256
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from evacli import formats
from evacli.console import printable
from evacli.version import __version__

_FILTERS = (
    formats.percent,
    formats.points,
    formats.rough,
    formats.count,
    formats.counted,
    formats.joined,
    formats.duration,
)


def render(template: str, *, script: str = "", **parts: Any) -> str:
    """Render the page as HTML; every text in `parts` is escaped, control characters are spelled out.

    Args:
        template: of the page.
        script: the one script that the page may run, a file beside the template, which the page's security policy
            knows by its hash.
        parts: what the template shows.
    """
    environment = Environment(
        loader=PackageLoader("evacli.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: printable(value) if type(value) is str else value,
    )
    environment.filters.update({filter_.__name__: filter_ for filter_ in _FILTERS})
    source = _source(environment, script) if script else ""
    code, digest = Markup(source), base64(sha256(source.encode()).digest())
    return environment.get_template(template).render(parts, version=__version__, script=code, script_hash=digest)


def _source(environment: Environment, name: str) -> str:
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


def inert(document: str) -> Markup:
    """Return a JSON document so that no part of it ends the element that holds it.

    Example:
        >>> inert('["</script>"]')
        Markup('["\\u003c/script>"]')
    """
    return Markup(document.replace("<", r"\u003c"))


def base64(content: bytes) -> str:
    """Return bytes as a page can hold them."""
    return b64encode(content).decode("ascii")


def embed(picture: bytes, kind: str = "png") -> str:
    """Return the bytes of a picture as a data URI."""
    return f"data:image/{kind};base64," + base64(picture)
