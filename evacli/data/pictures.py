"""One image file to RGB: the same documented conversion for whatever a file holds.

EXIF rotation is applied; of an animation the first frame counts; 16-bit grey keeps its high bytes; transparent pixels
are laid over white; CMYK, palettes and grey become RGB. The format is what the content says, not the file's name.

Pillow rather than OpenCV: it tells the size before it decodes, refuses truncated files where OpenCV fills them with
grey, and keeps transparency and orientation apart from the pixels.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from evacli.data.files import File

# Of Pillow's readers, those of formats that images for training come in; its EPS reader would start Ghostscript.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
MAX_PIXELS = 64_000_000
TOO_LARGE = f"more than {MAX_PIXELS // 10**6} megapixels"
# What of a header may hold an orientation, by Pillow's names.
ORIENTATION_IN = frozenset({"exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp"})

Size = tuple[int, int]  # width, height
Fit = Literal["crop", "pad", "stretch"]


@contextmanager
def opened(file: File) -> Iterator[Image.Image]:
    """Open an image without decoding it.

    Raises:
        ValueError: if it is empty, not an image or too large; other errors for garbled headers.
    """
    with file.open() as stream:
        try:
            image = Image.open(stream, formats=FORMATS)
        except UnidentifiedImageError as e:
            raise ValueError("not an image" if stream.seek(0, 2) else "empty") from e
        # Pillow's own limit, 179 megapixels.
        except Image.DecompressionBombError as e:
            raise ValueError(TOO_LARGE) from e
        with image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(TOO_LARGE)
            yield image


def is_picture(file: File) -> bool:
    """Tell whether the file is an image by its content, whole or not."""
    try:
        with opened(file):
            return True
    # Whatever a garbled header makes Pillow raise, it was none of an image that could be used.
    except Exception:
        return False


def size(file: File) -> Size:
    """Return the width and height that `pixels` would see, from the header."""
    with opened(file) as image:
        # Without any of these in the header, Pillow would decode a PNG to look behind the pixels.
        may_turn = image.format != "TIFF" and not ORIENTATION_IN.isdisjoint(image.info)  # TIFF's is turned already
        turned = may_turn and image.getexif().get(ExifTags.Base.Orientation, 1) >= 5
        return (image.height, image.width) if turned else image.size


def pixels(file: File, size: Size, fit: Fit) -> NDArray[np.uint8]:
    """Decode an image and bring it to `size`.

    Args:
        file: an image.
        size: width and height in pixels.
        fit: what happens to other proportions: "crop" shows the middle, "pad" the whole between black bars, "stretch"
            the whole, squeezed.

    Returns:
        (H, W, 3) uint8, RGB.
    """
    with opened(file) as image:
        # JPEG decodes large pictures at a fraction of their size in a fraction of the time.
        image.draft(None, (2 * max(size), 2 * max(size)))
        return _fitted(rgb(image), size, fit)


def resized(image: NDArray[np.uint8], size: Size, fit: Fit) -> NDArray[np.uint8]:
    """Bring decoded pixels (H, W, 3) to `size` as `pixels` does."""
    if image.shape[1::-1] == size:
        return image
    return _fitted(Image.fromarray(image), size, fit)


def _fitted(picture: Image.Image, size: Size, fit: Fit) -> NDArray[np.uint8]:
    if picture.size == size:
        return np.asarray(picture)
    # Pillow's linear filter averages over the area when it shrinks, and interpolates when it enlarges.
    linear = Image.Resampling.BILINEAR
    if fit == "crop":
        return np.asarray(ImageOps.fit(picture, size, linear))
    if fit == "pad":
        return np.asarray(ImageOps.pad(picture, size, linear))
    return np.asarray(picture.resize(size, linear))


def rgb(image: Image.Image) -> Image.Image:
    """Convert the first frame to upright RGB as the module describes.

    Raises:
        ValueError: for colours without an agreed range, such as 32-bit grey.
    """
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError("32-bit grey levels, which have no agreed range")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")
