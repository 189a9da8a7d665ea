"""The look that all pictures share, whatever the user's matplotlib is set to, and how they are written."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import ParamSpec

import numpy as np
from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from evacli.console import printable
from evacli.figures import matplotlib
from evacli.run.directory import write_atomically

# Okabe & Ito's palette: distinguishable with every common colour blindness.
BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, GREY = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#CC79A7",
    "#56B4E9",
    "#666666",
)

P = ParamSpec("P")

_STYLE = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "savefig.dpi": 150,
}


@contextmanager
def style() -> Iterator[None]:
    """Draw in the common style within a block."""
    with warnings.catch_warnings():
        # Some of the defaults are deprecated.
        warnings.simplefilter("ignore", matplotlib.MatplotlibDeprecationWarning)
        defaults = {name: value for name, value in matplotlib.rcParamsDefault.items() if name != "backend"}
        context = matplotlib.rc_context(defaults | _STYLE)
    with context, warnings.catch_warnings():
        # A class name in a script that the font lacks is drawn as boxes; that is no reason to alarm the user.
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font", UserWarning)
        yield


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Make a drawing function use the common style, and only that function."""

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with style():
            return draw(*args, **kwargs)

    return drawn


def literal(text: str, limit: int = 40) -> str:
    """Return `text` as matplotlib should show it: no mathematics, nothing unprintable, at most `limit` characters."""
    shown = printable(text)
    shown = shown if len(shown) <= limit else shown[: limit - 1] + "…"
    return shown.replace("$", r"\$")


def save(figure: Figure, path: Path) -> None:
    """Write the figure to `path` as PNG in one step."""
    with style():
        write_atomically(path, lambda target: figure.savefig(target, format="png"))


def save_pixels(pixels: NDArray[np.uint8], path: Path) -> None:
    """Write (H, W, 3) RGB to `path` as PNG in one step."""
    picture = Image.fromarray(pixels)
    # A third of the time of the usual level, for a fifth more bytes.
    write_atomically(path, lambda target: picture.save(target, format="png", compress_level=1))


def save_once(figure: Figure, path: Path) -> None:
    """Write a figure that is not needed any more, and let go of its pixels at once.

    Its parts refer to one another, so that of hundreds of figures megabytes each would stay until Python looks for such
    circles, which beside TensorFlow's many objects it seldom does.
    """
    save(figure, path)
    figure.clear()
    FigureCanvasBase(figure)  # takes the place of the canvas that holds the pixels
