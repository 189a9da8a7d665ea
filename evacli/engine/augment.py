"""Batched augmentation in the graph, on uint8, as a pure function of its seed.

Cutout follows DeVries & Taylor 2017 (arXiv 1708.04552): one square hole whose centre is uniform over the image, clipped
at the edges. Holes and, unless borders are reflected, padding take the mean colour, which is zero after normalisation.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from evacli.backend import tf
from evacli.config import Config
from evacli.engine import distort


@dataclass(frozen=True)
class Augmentation:
    """What happens to a training image.

    Attributes:
        cutout: side of the hole in pixels; 0: none.
        crop: pixels of padding on each side before a random crop of the original size; 0: none.
        flip: whether half of the images are mirrored left to right.
        fill: (R, G, B) grey levels of holes and padding.
        reflect: whether the padding shows the pixels next to it, mirrored about the outermost, instead of `fill`.
        shares: least and most of the area that a random-resized crop, which takes the place of the other, shows; where
            both are 1 there is none.
        jitter: strength of the colour jitter; 0: none.
        rand_augment: magnitude of RandAugment; 0: none.
    """

    cutout: int
    crop: int
    flip: bool
    fill: tuple[int, int, int]
    reflect: bool = False
    shares: tuple[float, float] = (1.0, 1.0)
    jitter: float = 0.0
    rand_augment: float = 0.0

    @classmethod
    def of(cls, config: Config, fill: tuple[int, int, int]) -> "Augmentation":
        """Make what a configuration says, with every value decided."""
        reflect = config.crop_border == "reflect"
        return cls(
            int(config.cutout or 0),
            int(config.crop or 0),
            bool(config.flip),
            fill,
            reflect,
            config.scales,
            config.jitter,
            config.rand_augment,
        )

    def __call__(self, images: tf.Tensor, seed: tf.Tensor, mirrored: tf.Tensor | None = None) -> tf.Tensor:
        """Augments a batch.

        Args:
            images: (B, H, W, 3) uint8.
            seed: (2,) integers; the same seed gives the same result on every machine and with any number of threads.
            mirrored: (B,) bool, which images are mirrored if any are; by default the seed decides.

        Returns:
            (B, H, W, 3) uint8.
        """
        if min(self.shares) < 1 or self.jitter or self.rand_augment:
            return self._strongly(images, seed, mirrored)
        return self._moved(images, seed, mirrored)

    def _strongly(self, images: tf.Tensor, seed: tf.Tensor, mirrored: tf.Tensor | None) -> tf.Tensor:
        """Change more than positions, and cut out at last."""
        seeds = [tf.random.experimental.stateless_fold_in(seed, number) for number in range(4)]
        if min(self.shares) < 1:
            drawn = tf.random.stateless_uniform([tf.shape(images)[0]], seeds[0]) < 0.5 if mirrored is None else mirrored
            turned = drawn if self.flip else tf.zeros_like(drawn)
            images = distort.random_resized_crop(images, seeds[1], self.shares, turned)
        else:
            images = replace(self, cutout=0)._moved(images, seed, mirrored)
        if self.rand_augment:
            images = distort.rand_augment(images, seeds[2], self.rand_augment, self.fill)
        if self.jitter:
            images = distort.colour_jitter(images, seeds[3], self.jitter)
        return replace(self, crop=0, flip=False)._moved(images, seed, None) if self.cutout else images

    def _moved(self, images: tf.Tensor, seed: tf.Tensor, mirrored: tf.Tensor | None) -> tf.Tensor:
        """Shift, mirror and cut out in one look-up."""
        size, height, width = tf.shape(images)[0], images.shape[1], images.shape[2]
        # One draw of numbers in [0, 1) for each decision: mirror, crop row, crop column, hole row, hole column.
        mirror, down, right, *hole = tf.unstack(uniform((5, size), seed), num=5)
        rows, columns = self._shifted(down, height), self._shifted(right, width)
        if self.flip:
            mirrored = mirror < 0.5 if mirrored is None else mirrored
            columns = tf.where(mirrored[:, None], columns[:, ::-1], columns)
        if self.reflect:
            rows, columns = _reflected(rows, height), _reflected(columns, width)
        shown = _grid(_within(rows, height), _within(columns, width))
        if self.cutout:
            shown = tf.logical_and(shown, ~_grid(self._covered(hole[0], height), self._covered(hole[1], width)))
        # One look-up does it all: where nothing is shown, it finds the fill, which lies behind the last pixel.
        first = tf.range(size) * (height * width)
        places = first[:, None, None] + rows[:, :, None] * width + columns[:, None, :]  # (B, H, W)
        pixels = tf.concat([tf.reshape(images, [-1, 3]), tf.constant([self.fill], tf.uint8)], axis=0)
        return tf.gather(pixels, tf.where(shown, places, size * height * width))

    def _shifted(self, draw: tf.Tensor, extent: int) -> tf.Tensor:
        """Return (B, extent): which position of the image each position of its crop shows; some lie outside."""
        return tf.range(extent) + (_below(draw, 2 * self.crop + 1) - self.crop)[:, None]

    def _covered(self, draw: tf.Tensor, extent: int) -> tf.Tensor:
        """Return (B, extent) bool: which positions of an axis the hole covers."""
        start = _below(draw, extent)[:, None] - self.cutout // 2
        positions = tf.range(extent)
        return tf.logical_and(positions >= start, positions < start + self.cutout)


def uniform(shape: Sequence[Any], seed: tf.Tensor) -> tf.Tensor:
    """Draw float32 numbers in [0, 1), bit by bit those of `tf.random.stateless_uniform`, in XLA as well.

    XLA makes its numbers of other bits of the random ones.

    Args:
        shape: of what is drawn.
        seed: (2,) integers.
    """
    drawn = tf.random.stateless_uniform(shape, seed, minval=None, maxval=None, dtype=tf.uint32, alg="philox")
    of_one_to_two = tf.bitwise.bitwise_or(tf.bitwise.bitwise_and(drawn, 0x7FFFFF), 0x3F800000)
    return tf.bitcast(of_one_to_two, tf.float32) - 1.0


def _within(positions: tf.Tensor, extent: int) -> tf.Tensor:
    return tf.logical_and(positions >= 0, positions < extent)


def _reflected(positions: tf.Tensor, extent: int) -> tf.Tensor:
    period = max(2 * (extent - 1), 1)
    return (extent - 1) - tf.abs(positions % period - (extent - 1))


def _grid(rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    """Return (B, H, W) bool: where row (B, H) and column (B, W) are both true."""
    return tf.logical_and(rows[:, :, None], columns[:, None, :])


def _below(draw: tf.Tensor, limit: int) -> tf.Tensor:
    """Uniform integers in [0, limit) from uniform numbers in [0, 1)."""
    return tf.cast(draw * limit, tf.int32)
