"""Batched augmentation in the graph, on uint8, as a pure function of its seed.

Cutout follows DeVries & Taylor 2017 (arXiv 1708.04552): one square hole whose centre is uniform over the image, clipped
at the edges. Holes and padding take the mean colour, which is zero after normalisation.
"""

from dataclasses import dataclass

from evacli.backend import tf


@dataclass(frozen=True)
class Augmentation:
    """What happens to a training image.

    Attributes:
        cutout: side of the hole in pixels; 0: none.
        crop: pixels of padding on each side before a random crop of the original size; 0: none.
        flip: whether half of the images are mirrored left to right.
        fill: (R, G, B) grey levels of holes and padding.
    """

    cutout: int
    crop: int
    flip: bool
    fill: tuple[int, int, int]

    def __call__(self, images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Augments a batch.

        Args:
            images: (B, H, W, 3) uint8.
            seed: (2,) integers; the same seed gives the same result on every machine and with any number of threads.

        Returns:
            (B, H, W, 3) uint8.
        """
        size = tf.shape(images)[0]
        # One draw of numbers in [0, 1) for each decision: mirror, crop row, crop column, hole row, hole column.
        draws = tf.unstack(tf.random.stateless_uniform((5, size), seed), num=5)
        if self.crop or self.flip:
            images = self._shift_and_mirror(images, *draws[:3])
        return self._cut_out(images, *draws[3:]) if self.cutout else images

    def _shift_and_mirror(self, images: tf.Tensor, mirror: tf.Tensor, down: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
        """Picks rows and columns of the padded images, the columns in reverse order for mirrored ones."""
        height, width = images.shape[1], images.shape[2]
        columns = tf.range(width) + _below(right, 2 * self.crop + 1)[:, None]  # (B, W)
        if self.flip:
            columns = tf.where(mirror[:, None] < 0.5, columns[:, ::-1], columns)
        rows = tf.range(height) + _below(down, 2 * self.crop + 1)[:, None]  # (B, H)
        images = tf.gather(self._pad(images), rows, axis=1, batch_dims=1)
        return tf.gather(images, columns, axis=2, batch_dims=1)

    def _pad(self, images: tf.Tensor) -> tf.Tensor:
        margin = [[0, 0], [self.crop, self.crop], [self.crop, self.crop]]
        channels = [
            tf.pad(images[..., c], margin, constant_values=tf.constant(self.fill[c], tf.uint8)) for c in range(3)
        ]
        return tf.stack(channels, axis=-1)

    def _cut_out(self, images: tf.Tensor, down: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
        rows = self._inside(down, images.shape[1])[:, :, None]  # (B, H, 1)
        columns = self._inside(right, images.shape[2])[:, None, :]  # (B, 1, W)
        hole = tf.logical_and(rows, columns)[..., None]  # (B, H, W, 1)
        return tf.where(hole, tf.constant(self.fill, tf.uint8), images)

    def _inside(self, draw: tf.Tensor, extent: int) -> tf.Tensor:
        """(B, extent) bool: which positions of an axis the hole covers."""
        start = _below(draw, extent)[:, None] - self.cutout // 2
        positions = tf.range(extent)
        return tf.logical_and(positions >= start, positions < start + self.cutout)


def _below(draw: tf.Tensor, limit: int) -> tf.Tensor:
    """Uniform integers in [0, limit) from uniform numbers in [0, 1)."""
    return tf.cast(draw * limit, tf.int32)
