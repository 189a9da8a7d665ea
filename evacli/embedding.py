"""Pictures of a run as a page holds them."""

from io import BytesIO
from pathlib import Path

from evacli.data.files import File
from evacli.data.pictures import opened
from evacli.pages.render import embed


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
