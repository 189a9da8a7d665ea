"""The picture of suspected labels: each image under its label and what the network suggests."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from evacli.figures.style import BLUE, VERMILION, literal, styled
from evacli.formats import counted

COLUMNS = 5
_LETTERS = 13  # of a name


@styled
def draw_suspects(
    images: Sequence[NDArray[np.uint8]], captions: Sequence[tuple[int, str, str, float]], found: int
) -> Figure:
    """Draw the images in rows of five.

    Args:
        images: at least one, each (H, W, 3) RGB.
        captions: of each its index, its label, and the suggested class with its probability, a share of 1.
        found: how many suspects there are in all.
    """
    rows = -(-len(images) // COLUMNS)
    figure = Figure(figsize=(10, 2.3 * rows + 0.7))
    # With an empty line, which is where the words over the first row are.
    title = f"The first {len(images)} of {counted(found, 'suspected label')}\n"
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
    panels = figure.subplots(rows, COLUMNS, squeeze=False).flat
    for panel in panels:
        panel.axis("off")
    for panel, image, (index, given, suggested, probability) in zip(figure.axes, images, captions, strict=False):
        panel.imshow(image, interpolation="nearest")
        lines = (
            (f"#{index} labelled {literal(given, _LETTERS)}", BLUE),
            (f"rather {literal(suggested, _LETTERS)} {probability:.0%}", VERMILION),
        )
        for (line, colour), y in zip(lines, (1.12, 1.01), strict=True):
            panel.text(0, y, line, color=colour, transform=panel.transAxes, va="bottom", fontsize=9)
    return figure
