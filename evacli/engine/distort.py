"""Stronger augmentations for photographs: batched, in the graph, each a pure function of its seed.

Seeds are pairs of integers; the same one gives the same result on every machine.
"""

import math
from collections.abc import Callable
from typing import Any

from evacli.backend import tf

# Of the height by the width of a random crop.
PROPORTIONS = 3 / 4, 4 / 3
MOST_MAGNITUDE = 30
ROUNDS = 2  # operations on each picture
GREY = 0.299, 0.587, 0.114  # ITU-R 601-2, as Pillow has it


def random_resized_crop(images: Any, seed: Any, shares: tuple[float, float], mirrored: Any) -> Any:
    """Show a part of each picture, enlarged to its size (Szegedy et al. 2015, arXiv 1409.4842, section 6).

    Args:
        images: (B, H, W, 3) uint8.
        seed: (2,) integers.
        shares: least and most of the area that the part has; its proportions are between 3:4 and 4:3.
        mirrored: (B,) bool, which are mirrored.

    Returns:
        (B, H, W, 3) uint8.
    """
    size, height, width = tf.shape(images)[0], images.shape[1], images.shape[2]
    area, shape, down, right = tf.unstack(tf.random.stateless_uniform((4, size), seed), num=4)
    smallest, largest = shares
    share = smallest + (largest - smallest) * area
    low, high = map(math.log, PROPORTIONS)
    ratio = tf.exp(low + (high - low) * shape)
    # Of height and width; what would not fit is as high or as wide as the picture.
    rows, columns = tf.minimum(tf.sqrt(share * ratio), 1.0), tf.minimum(tf.sqrt(share / ratio), 1.0)
    top, left = down * (1 - rows), right * (1 - columns)
    # Centres of the outermost pixels, as shares of the distance between those of the picture's.
    box = [_edge(top, rows, height), _edge(left, columns, width)]
    (first_row, last_row), (first_column, last_column) = box
    first_column, last_column = (
        tf.where(mirrored, last_column, first_column),
        tf.where(mirrored, first_column, last_column),
    )
    boxes = tf.stack([first_row, first_column, last_row, last_column], axis=1)
    return _rounded(tf.image.crop_and_resize(images, boxes, tf.range(size), (height, width)))


def _edge(start: Any, share: Any, extent: int) -> tuple[Any, Any]:
    half = 0.5 * share / extent
    ends = start + half, start + share - half
    first, last = (tf.clip_by_value((end * extent - 0.5) / max(extent - 1, 1), 0.0, 1.0) for end in ends)
    return first, last


def colour_jitter(images: Any, seed: Any, strength: float) -> Any:
    """Change brightness, contrast and saturation of each picture, in this order (Krizhevsky et al. 2012 and later).

    Args:
        images: (B, H, W, 3) uint8.
        seed: (2,) integers.
        strength: each is multiplied by a factor between 1 - strength and 1 + strength.
    """
    size = tf.shape(images)[0]
    factors = 1 + strength * (2 * tf.random.stateless_uniform((3, size), seed) - 1)
    for change, factor in zip((brightness, contrast, saturation), tf.unstack(factors, num=3), strict=True):
        images = change(images, factor)
    return images


def brightness(images: Any, factor: Any) -> Any:
    """Multiply the grey levels of each picture (B, H, W, 3) by its factor (B,)."""
    return _rounded(tf.cast(images, tf.float32) * _each(factor))


def contrast(images: Any, factor: Any) -> Any:
    """Move each picture away from its mean grey level, a whole number, by its factor."""
    mean = tf.round(tf.reduce_mean(_grey(images), axis=[1, 2, 3], keepdims=True))
    return _blended(mean, images, factor)


def saturation(images: Any, factor: Any) -> Any:
    """Move each picture away from its grey version by its factor."""
    return _blended(_grey(images), images, factor)


def sharpness(images: Any, factor: Any) -> Any:
    """Move each picture away from a smoothed version, but for its border, by its factor."""
    pixels = tf.cast(images, tf.float32)
    kernel = tf.constant([[1, 1, 1], [1, 5, 1], [1, 1, 1]], tf.float32) / 13
    smooth = tf.nn.depthwise_conv2d(pixels, tf.tile(kernel[:, :, None, None], [1, 1, 3, 1]), [1] * 4, "VALID")
    inner = tf.pad(tf.ones_like(smooth), [[0, 0], [1, 1], [1, 1], [0, 0]])
    smooth = tf.pad(tf.round(smooth), [[0, 0], [1, 1], [1, 1], [0, 0]])
    return _blended(tf.where(inner > 0, smooth, pixels), images, factor)


def posterize(images: Any, bits: int) -> Any:
    """Keep the highest bits of each grey level."""
    return tf.bitwise.bitwise_and(images, tf.constant(256 - 2 ** (8 - bits), tf.uint8))


def solarize(images: Any, threshold: float) -> Any:
    """Invert the grey levels from a threshold on."""
    return tf.where(tf.cast(images, tf.float32) >= threshold, 255 - images, images)


def autocontrast(images: Any) -> Any:
    """Stretch each channel of each picture to 0..255."""
    pixels = tf.cast(images, tf.float32)
    low, high = (of(pixels, axis=[1, 2], keepdims=True) for of in (tf.reduce_min, tf.reduce_max))
    stretched = tf.floor(tf.clip_by_value((pixels - low) * 255 / tf.maximum(high - low, 1), 0, 255))
    return tf.where(high > low, tf.cast(stretched, tf.uint8), images)


def equalize(images: Any) -> Any:
    """Spread the grey levels of each channel of each picture, so that all are about as frequent."""
    height, width = images.shape[1:3]
    flat = tf.cast(tf.reshape(tf.transpose(images, [0, 3, 1, 2]), [-1, height * width]), tf.int32)  # (B 3, H W)
    counts = tf.math.bincount(flat, minlength=256, maxlength=256, axis=-1)
    levels = tf.range(256)
    last = tf.reduce_max(tf.where(counts > 0, levels, 0), axis=-1, keepdims=True)
    step = (height * width - tf.gather(counts, last, batch_dims=1)) // 255
    table = (tf.cumsum(counts, axis=-1, exclusive=True) + step // 2) // tf.maximum(step, 1)
    looked_up = tf.gather(tf.minimum(table, 255), flat, batch_dims=1)
    spread = tf.where(step > 0, looked_up, flat)
    shaped = tf.reshape(tf.cast(spread, tf.uint8), [-1, 3, height, width])
    return tf.transpose(shaped, [0, 2, 3, 1])


def rand_augment(images: Any, seed: Any, magnitude: float, fill: tuple[int, int, int]) -> Any:
    """Change each picture by two operations at random, out of fourteen (Cubuk et al. 2019, arXiv 1909.13719).

    Args:
        images: (B, H, W, 3) uint8.
        seed: (2,) integers.
        magnitude: how much, from 0 to 30.
        fill: (R, G, B) grey levels of what becomes free.

    Returns:
        (B, H, W, 3) uint8.
    """
    share = magnitude / MOST_MAGNITUDE
    colours: list[Callable[[Any, Any], Any]] = [
        brightness,
        saturation,
        contrast,
        sharpness,
        lambda x, _: posterize(x, 8 - round(4 * share)),
        lambda x, _: solarize(x, 255 * (1 - share)),
        lambda x, _: autocontrast(x),
        lambda x, _: equalize(x),
    ]
    size = tf.shape(images)[0]
    for number in range(ROUNDS):
        chosen, sign = tf.unstack(
            tf.random.stateless_uniform((2, size), tf.random.experimental.stateless_fold_in(seed, number)), num=2
        )
        operation = tf.cast(chosen * (6 + len(colours)), tf.int32)  # the first six move pixels, or nothing
        sign = tf.where(sign < 0.5, -1.0, 1.0)
        images = _moved(images, _transforms(operation, sign * share, images.shape[1:3]), fill)
        for place, change in enumerate(colours, start=6):
            wanted = (operation == place)[:, None, None, None]
            images = tf.where(wanted, change(images, 1 + 0.9 * share * sign), images)
    return images


def _transforms(operation: Any, amount: Any, sides: Any) -> Any:
    """Return (B, 6) rows of the affine map from shown to original pixels, of each operation from 0 to 5.

    They are: nothing, shears along x and y by 0.3, shifts by 150/331 of the side, a rotation by 30 degrees, each times
    `amount` (B,); about the corner, as Pillow does it, but for the rotation about the centre.
    """
    height, width = sides
    one, none = tf.ones_like(amount), tf.zeros_like(amount)
    angle = amount * math.radians(30)
    cosine, sine = tf.cos(angle), tf.sin(angle)
    x, y = (width - 1) / 2, (height - 1) / 2
    maps = [
        (one, none, none, none, one, none),
        (one, 0.3 * amount, none, none, one, none),
        (one, none, none, 0.3 * amount, one, none),
        (one, none, 150 / 331 * width * amount, none, one, none),
        (one, none, none, none, one, 150 / 331 * height * amount),
        (cosine, -sine, x - x * cosine + y * sine, sine, cosine, y - x * sine - y * cosine),
    ]
    rows = tf.stack([tf.stack(entries, axis=1) for entries in maps], axis=1)  # (B, 6, 6)
    return tf.gather(rows, tf.where(operation < len(maps), operation, 0), batch_dims=1)


def _moved(images: Any, transforms: Any, fill: tuple[int, int, int]) -> Any:
    none = tf.zeros_like(transforms[:, :2])
    # About a fill of zero, so that what comes from outside is the fill of each channel.
    pixels = tf.cast(images, tf.float32) - tf.constant(fill, tf.float32)
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=pixels,
        transforms=tf.concat([transforms, none], axis=1),
        output_shape=images.shape[1:3],
        fill_value=0.0,
        interpolation="NEAREST",
        fill_mode="CONSTANT",
    )
    return _rounded(moved + tf.constant(fill, tf.float32))


def mixup(images: Any, seed: Any, alpha: float) -> tuple[Any, Any]:
    """Lay each picture of a batch over the one before it (Zhang et al. 2017, arXiv 1710.09412).

    Args:
        images: (B, H, W, C) uint8, or of another kind of numbers.
        seed: (2,) integers.
        alpha: the picture's own part is drawn, for the whole batch, from the distribution Beta(alpha, alpha).

    Returns:
        (B, H, W, C) of that kind, and the part. The other labels of a batch are `tf.roll(labels, 1, axis=0)`.
    """
    one, other = tf.unstack(tf.random.stateless_gamma((2,), seed, alpha), num=2)
    part = tf.math.divide_no_nan(one, one + other)
    own = tf.cast(images, tf.float32)
    mixed = part * own + (1 - part) * tf.roll(own, 1, axis=0)
    return _rounded(mixed) if images.dtype == tf.uint8 else tf.cast(mixed, images.dtype), part


def _grey(images: Any) -> Any:
    return tf.round(tf.reduce_sum(tf.cast(images, tf.float32) * tf.constant(GREY), axis=-1, keepdims=True))


def _blended(away_from: Any, images: Any, factor: Any) -> Any:
    return _rounded(away_from + (tf.cast(images, tf.float32) - away_from) * _each(factor))


def _each(factor: Any) -> Any:
    return tf.reshape(factor, [-1, 1, 1, 1])


def _rounded(pixels: Any) -> Any:
    return tf.cast(tf.clip_by_value(tf.round(pixels), 0, 255), tf.uint8)
