"""What the page of a report shows of Grad-CAM, which is put in anew whenever the pictures are drawn."""

import msgspec
from markupsafe import Markup

from evacli import embedding
from evacli.embedding import picture
from evacli.formats import counted
from evacli.pages.render import inert, render
from evacli.run import tables
from evacli.run.directory import RunDir
from evacli.run.gradcam_files import OF_TEST_IMAGE

NAME = "Grad-CAM"
WIDTH = 720  # pixels of the picture of one image
ROOM = 1_000_000  # characters of the page for them


def section(run: RunDir) -> Markup:
    """Return the section of the page.

    It has the grid, whether the maps are faithful where that was measured, and for the page's script the picture of
    each image that there is room for.
    """
    return embedding.part(NAME, _html(run))


def renew(run: RunDir) -> None:
    """Put the section into the page of an earlier report, if there is one."""
    embedding.renew(run, NAME, _html(run))


def _html(run: RunDir) -> str:
    found, left = _singles(run)
    more = (
        f"{counted(left, 'picture')} of single images had no room here; they are in the folder gradcam." if left else ""
    )
    return render(
        "gradcam.html",
        grid=picture(run.gradcam_png, photographic=True),
        maps=inert(msgspec.json.encode(found).decode()),
        more=more,
        measured=_measured(run),
    )


def _measured(run: RunDir) -> list[tuple[str, float, float, float]]:
    """Return the rows of what `gradcam --faithfulness` measured; none where there is nothing to be read."""
    try:
        return [
            (row["maps"], float(row["most"]), float(row["least"]), float(row["gap"]))
            for row in tables.read(run.faithfulness)
        ]
    except tables.UNREADABLE:
        return []


def _singles(run: RunDir) -> tuple[dict[int, str], int]:
    """Return the data URIs of single pictures by the index of their image, the first drawn first, and how many not."""
    if run.gradcam_folder.is_symlink() or not run.gradcam_folder.is_dir():
        return {}, 0
    files = [file for file in run.gradcam_folder.iterdir() if OF_TEST_IMAGE.fullmatch(file.name)]
    found: dict[int, str] = {}
    room, left = ROOM, 0
    for file in sorted(files, key=lambda file: (file.lstat().st_mtime_ns, file.name)):
        uri = picture(file, photographic=True, width=WIDTH) if room > 0 else ""
        room -= len(uri or "")
        if room > 0 and uri:
            found[int(file.name.partition("-")[0])] = uri
        elif uri is not None:
            left += 1
    return found, left
