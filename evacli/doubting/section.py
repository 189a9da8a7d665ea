"""What the page of a report shows of suspected labels, which is put in anew whenever they are looked for."""

from markupsafe import Markup

from evacli import embedding
from evacli.embedding import picture
from evacli.formats import counted, joined
from evacli.pages.render import render
from evacli.run import tables
from evacli.run.directory import RunDir

NAME = "Suspected labels"


def section(run: RunDir) -> Markup:
    """Return the section of the page, without content where nobody has looked for suspected labels."""
    return embedding.part(NAME, _html(run))


def renew(run: RunDir) -> None:
    """Put the section into the page of an earlier report, if there is one."""
    embedding.renew(run, NAME, _html(run))


def _html(run: RunDir) -> str:
    try:
        parts = [row["part"] for row in tables.read(run.label_issues)]
    except tables.UNREADABLE:
        return ""
    found = [counted(parts.count(part), f"{part} image") for part in ("test", "validation") if part in parts]
    return render("suspects.html", found=joined(found), picture=picture(run.label_issues_png, photographic=True))
