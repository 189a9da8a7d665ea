"""Thumbnails by the thousand: packed into a few pictures, of which the page shows parts."""

from collections.abc import Sequence
from io import BytesIO
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from evacli import console
from evacli.data.images import Images
from evacli.imaging import opencv
from evacli.pages.render import base64

SIDE = 64  # longest side in pixels of a thumbnail; smaller images are kept as they are
COLUMNS = 16
PER_SHEET = COLUMNS**2
BLOCK = 16  # pixels that a lossy WebP codes together: no thumbnail shares one with its neighbour
QUALITY = 75


class Sheets(NamedTuple):
    """Thumbnails in the order in which they were asked for, `PER_SHEET` on each sheet but the last.

    Attributes:
        sheets: base64 of WebP pictures, `COLUMNS` thumbnails in a row.
        held: how many thumbnails they hold.
        size: height and width of each thumbnail.
        cell: height and width of the place that each has.
    """

    sheets: list[str]
    held: int
    size: tuple[int, int]
    cell: tuple[int, int]


def pack(images: Images, indices: Sequence[int], budget: int) -> Sheets:
    """Pack thumbnails of the images at `indices`, as many of the first ones as `budget` characters hold.

    Example:
        >>> pack(InMemory(np.zeros((5, 100, 50, 3), np.uint8)), [4, 0], 10**6).size
        (64, 32)
    """
    scale = min(1, SIDE / max(images.shape[:2]))
    height, width = (max(1, round(side * scale)) for side in images.shape[:2])
    cell = -(-height // BLOCK) * BLOCK, -(-width // BLOCK) * BLOCK
    sheets: list[str] = []
    count = 0
    starts = range(0, len(indices), PER_SHEET)
    for start in console.track(starts, "packing pictures"):
        part = list(indices[start : start + PER_SHEET])
        sheet = _sheet(images, part, (height, width), cell)
        budget -= len(sheet)
        if budget < 0:
            break
        sheets.append(sheet)
        count += len(part)
    return Sheets(sheets, count, (height, width), cell)


def _sheet(images: Images, indices: list[int], size: tuple[int, int], cell: tuple[int, int]) -> str:
    """Return the thumbnails of up to `PER_SHEET` images as base64; what a cell has beside its thumbnail repeats it."""
    cv2 = opencv()
    rows = -(-len(indices) // COLUMNS)
    sheet: NDArray[np.uint8] = np.zeros((rows, cell[0], COLUMNS, cell[1], 3), np.uint8)
    for place, index in enumerate(indices):
        (image,) = images.read([index])
        if image.shape[:2] != size:
            image = cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA)
        beside = ((0, cell[0] - size[0]), (0, cell[1] - size[1]), (0, 0))
        sheet[place // COLUMNS, :, place % COLUMNS] = np.pad(image, beside, mode="edge")
    out = BytesIO()
    pixels = sheet.reshape(rows * cell[0], COLUMNS * cell[1], 3)
    Image.fromarray(pixels).save(out, "webp", quality=QUALITY)
    return base64(out.getvalue())
