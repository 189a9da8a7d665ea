"""What a page holds of a run: its pictures, and parts that are put in anew when they change."""

from io import BytesIO
from pathlib import Path

from markupsafe import Markup

from evacli.data.files import File
from evacli.data.pictures import opened
from evacli.pages.render import embed
from evacli.run.directory import RunDir, write_text_atomically


def picture(path: Path, *, photographic: bool = False, width: int | None = None) -> str | None:
    """Return a picture of the run as the data URI of a WebP, smaller than its PNG; None if there is none to be read.

    Args:
        path: of the file, which a stranger may have made.
        photographic: whether a loss that the eye does not see may make it smaller still.
        width: in pixels, which a wider one is brought to.
    """
    webp = BytesIO()
    try:
        if not path.is_file():  # a pipe would never end
            return None
        with opened(File.at(path)) as image:
            pixels = image.convert("RGB")
            if width:
                pixels.thumbnail((width, width))
            pixels.save(webp, "webp", lossless=not photographic, quality=75 if width else 90)
    # Whatever a garbled file makes Pillow raise, there is no picture to show.
    except Exception:
        return None
    return embed(webp.getvalue(), "webp")


def part(name: str, html: str) -> Markup:
    """Return a part of a report between marks by which `renew` finds it."""
    begin, end = _marks(name)
    return Markup(f"{begin}{html}{end}")


def renew(run: RunDir, name: str, html: str) -> None:
    """Put a part in the place of what an earlier report had of it, if there is one."""
    if not run.report.is_file():
        return
    begin, end = _marks(name)
    before, begun, rest = run.report.read_text(encoding="utf-8").partition(begin)
    _, ended, after = rest.partition(end)
    if begun and ended:
        write_text_atomically(run.report, before + str(part(name, html)) + after)


def _marks(name: str) -> tuple[str, str]:
    return f"<!-- {name} -->", f"<!-- end of {name} -->"  # a page has no other comments: names in it are escaped
