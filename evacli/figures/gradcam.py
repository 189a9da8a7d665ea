"""The Grad-CAM picture: each image beside itself under its heat maps.

Laid out in pixels of the written file, so that what was composed is what is seen and nothing is resampled twice.
"""

import textwrap
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.typing import NDArray

from evacli.figures import matplotlib
from evacli.figures.style import BLUE, GREY, VERMILION, literal, style, styled
from evacli.imaging import opencv

Image = NDArray[np.uint8]  # (H, W, 3) RGB
Heat = NDArray[np.float32]  # (h, w), 0 to 1

DPI = 150
COLUMNS = 5
CELL = 392  # width of an image with its overlays
ALONE = 2 * CELL  # the same where it is the only one
GAP = 4
MARGIN = 28
TITLE, TEXT, SMALL = 15, 12, 8.5  # points
LINE = 1.35  # of the size of the letters
LETTER = 0.6  # mean width of a letter, of its height
LONGEST = 40  # letters of a name


@dataclass(frozen=True)
class Explanation:
    """An image, what the network said about it, and where it looked.

    Attributes:
        index: of the image in its split.
        image: (H, W, 3) uint8, RGB.
        predicted: class name.
        predicted_probability: share of 1.
        true: class name; None where nobody knows it.
        true_probability: share of 1.
        maps: (T, h, w) from 0 to 1, in the order in which they are shown.
        name: what the image is called, which is written where there is no true class.
    """

    index: int
    image: Image
    predicted: str
    predicted_probability: float
    true: str | None
    true_probability: float
    maps: NDArray[np.float32]
    name: str = ""


def overlay(image: Image, heat: Heat, alpha: float = 0.5) -> Image:
    """Blends `image` with `heat` in the colours of inferno: alpha * image + (1 - alpha) * inferno(heat).

    From black to yellow it only becomes lighter, so that every eye sees the same order and the picture keeps its own
    colours where nothing speaks for the class. Jet, which others use, is darkest at both of its ends.

    Args:
        image: (H, W, 3) uint8, RGB.
        heat: (H, W) from 0 to 1.
        alpha: weight of the image.
    """
    colours = matplotlib.colormaps["inferno"](heat)[..., :3] * 255  # RGB; OpenCV's own colour map would be BGR
    return np.rint(alpha * image + (1 - alpha) * colours).astype(np.uint8)


def panels(image: Image, maps: Sequence[Heat] | NDArray[np.float32], width: int, alpha: float = 0.5) -> Image:
    """Set the image and its overlays side by side, with white gaps, as wide as `width` pixels allow.

    Heat maps are stretched bilinearly over the whole image: their corners are the image's corners.
    """
    cv2 = opencv()
    large = _fit(image, side=(width - GAP * len(maps)) // (len(maps) + 1))
    size = large.shape[1::-1]
    overlays = [overlay(large, cv2.resize(heat, size, interpolation=cv2.INTER_LINEAR), alpha) for heat in maps]
    gap = np.full((large.shape[0], GAP, 3), 255, np.uint8)
    parts = [large] + [part for shown in overlays for part in (gap, shown)]
    return np.concatenate(parts, axis=1)


def _fit(image: Image, side: int) -> Image:
    """Return `image` scaled to a square of `side` pixels, its proportions kept."""
    cv2 = opencv()
    height, width = image.shape[:2]
    scale = side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA))


@styled
def grid(explanations: Sequence[Explanation], title: str, subtitle: str, alpha: float = 0.5) -> Figure:
    """Draws a cell for each explanation, in rows of five.

    Args:
        explanations: at least one, of images of one size.
        title: in bold at the top; names the layer.
        subtitle: below it; says what the panels of a cell are.
        alpha: weight of the image in the overlays.
    """
    cell = ALONE if len(explanations) == 1 else CELL
    strips = [panels(e.image, e.maps, cell, alpha) for e in explanations]
    canvas, axes, corners = _sheet(title, subtitle, len(strips), cell, strips[0].shape[0])
    for explanation, strip, corner in zip(explanations, strips, corners, strict=True):
        _write_caption(axes, explanation, corner, cell)
        _draw_image(axes, strip, corner[0], corner[1] + CAPTION)
    figure: Figure = canvas.figure
    return figure


class Singles:
    """Draws one explanation after the other as `grid` would draw it alone; what all have in common is drawn once.

    Example:
        >>> Singles("Grad-CAM", "Left to right: the image, the evidence.").pixels(explanation).shape
        (732, 840, 3)
    """

    def __init__(self, title: str, subtitle: str, alpha: float = 0.5) -> None:
        """Take what `grid` takes beside the explanations."""
        self._title, self._subtitle, self._alpha = title, subtitle, alpha
        self._sheet: tuple[FigureCanvasAgg, Axes, list[tuple[int, int]]] | None = None

    def pixels(self, explanation: Explanation) -> Image:
        """Draw one of those whose images all have one size: (H, W, 3) RGB."""
        strip = panels(explanation.image, explanation.maps, ALONE, self._alpha)
        height, width = strip.shape[:2]
        with style():
            if self._sheet is None:
                self._sheet = _sheet(self._title, self._subtitle, 1, ALONE, height)
                self._sheet[0].draw()
                self._common = self._sheet[0].copy_from_bbox(self._sheet[1].bbox)
            canvas, axes, ((x, y),) = self._sheet
            canvas.restore_region(self._common)
            for text in _write_caption(axes, explanation, (x, y), ALONE):
                axes.draw_artist(text)
                text.remove()
        drawn = np.array(canvas.buffer_rgba())[..., :3]
        drawn[y + CAPTION :][:height, x : x + width] = strip
        return drawn


def _sheet(
    title: str, subtitle: str, cells: int, cell: int, height: int
) -> tuple[FigureCanvasAgg, Axes, list[tuple[int, int]]]:
    """Draw all but the cells, as wide as `cell` and with images as high as `height`; return where they begin."""
    columns = min(COLUMNS, cells)
    width = columns * (cell + MARGIN) + MARGIN
    head = [(line, TITLE) for line in _wrapped(title, TITLE, width)]
    head += [(line, TEXT) for line in _wrapped(subtitle, TEXT, width)]
    top = MARGIN + sum(_height(points) for _, points in head) + MARGIN // 2
    pitch = CAPTION + height + MARGIN  # from one row of cells to the next
    bottom = top + pitch * -(-cells // columns)
    canvas, axes = _canvas(width, bottom + _height(TEXT) + MARGIN)
    _draw_lines(axes, head, MARGIN)
    _draw_key(axes, MARGIN, bottom)
    return canvas, axes, [(MARGIN + i % columns * (cell + MARGIN), top + i // columns * pitch) for i in range(cells)]


def _canvas(width: int, height: int) -> tuple[FigureCanvasAgg, Axes]:
    """Make axes all over a figure, in pixels from the top left corner."""
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
    figure.set_layout_engine("none")
    canvas = FigureCanvasAgg(figure)  # keeps its renderer, so that measuring text is cheap
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.axis("off")
    return canvas, axes


def _draw_lines(axes: Axes, lines: Sequence[tuple[str, float]], y: float) -> None:
    for line, points in lines:
        axes.text(MARGIN, y, line, fontsize=points, fontweight="bold" if points == TITLE else "normal", va="top")
        y += _height(points)


def _write_caption(axes: Axes, explanation: Explanation, corner: tuple[int, int], width: int) -> list[Text]:
    x, y = corner
    second = y + _height(TEXT)
    index = axes.text(x + width, second, f"#{explanation.index}", fontsize=SMALL, color=GREY, va="top", ha="right")
    room = width - index.get_window_extent().width - GAP
    said = axes.text(x, y, "", fontsize=TEXT, color=VERMILION, va="top")
    _fill(said, "predicted {} " + _percent(explanation.predicted_probability), explanation.predicted, width)
    if explanation.true is None:
        other = axes.text(x, second, "", fontsize=TEXT, color=GREY, va="top")
        _fill(other, "{}", explanation.name, room)
    else:
        other = axes.text(x, second, "", fontsize=TEXT, color=BLUE, va="top")
        _fill(other, "true {} " + _percent(explanation.true_probability), explanation.true, room)
    return [index, said, other]


def _percent(probability: float) -> str:
    return f"{probability * 100:.0f} %"


def _fill(text: Text, sentence: str, name: str, room: float) -> None:
    """Write a sentence with a name in it into `text`, the name shortened until all fits in `room` pixels."""

    def width(limit: int) -> float:
        text.set_text(sentence.format(literal(name, limit)))
        return float(text.get_window_extent().width)

    if width(LONGEST) > room:
        width(max(1, bisect_right(range(1, LONGEST), room, key=width)))  # which leaves that text in place


def _draw_image(axes: Axes, image: Image, x: float, y: float) -> None:
    height, width = image.shape[:2]
    # matplotlib 3.10.0 fills one more column where rounding makes the last one end a trillionth of a pixel too late.
    right = x + width - 1e-6
    axes.imshow(image, extent=(x, right, y + height, y), interpolation="nearest", aspect="auto")


def _draw_key(axes: Axes, x: float, y: float) -> None:
    """Draw what the colours mean: a bar from no evidence to the strongest; each map has its own scale."""
    low = axes.text(x, y, "no evidence", fontsize=TEXT, va="top")
    bar = x + low.get_window_extent().width + MARGIN / 2
    gradient = np.tile(np.linspace(0, 1, 256, dtype=np.float32), (round(TEXT * DPI / 72), 1))
    _draw_image(axes, overlay(np.zeros((*gradient.shape, 3), np.uint8), gradient, alpha=0), bar, y)
    axes.text(bar + gradient.shape[1] + MARGIN / 2, y, "strongest of its map", fontsize=TEXT, va="top")


def _wrapped(text: str, points: float, width: int) -> list[str]:
    lines = textwrap.wrap(text, _letters(points, width - 2 * MARGIN))
    return [literal(line, limit=len(line)) for line in lines]


def _height(points: float) -> int:
    """Pixels that a line of text needs."""
    return round(points * LINE * DPI / 72)


CAPTION = 2 * _height(TEXT)


def _letters(points: float, width: int) -> int:
    """Tell how many letters of mean width fit in `width` pixels."""
    return int(width / (points * LETTER * DPI / 72))
