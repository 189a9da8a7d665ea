"""Convolutions of 3x3 pixels with a quarter of the multiplications.

Winograd's minimal filtering F(4x4, 3x3) after Lavin & Gray 2015 (arXiv 1509.09308), section 4.3. Tiles of 4x4 outputs
are transforms of products of transformed 6x6 inputs and transformed kernels. The products are those of matrices over
channels; the transforms only add up pixels, but cost memory traffic, so that all this pays where channels are many and
images small. The gradients, by the chain rule through the same products, need a quarter as well.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from evacli.backend import tf

TILE, REACH = 4, 6  # outputs of a tile along an axis, and the inputs that they depend on

# A convolution is a product of polynomials, and the transforms evaluate those at points, of which infinity is one more.
# Errors grow by how far these are from each other. Of all fives of small fractions these have the least errors, less
# than half of those with the usual 0, 1, -1, 2, -2, among those whose transforms are exact in bfloat16.
POINTS = (0, 3 / 2, -3 / 2, 5 / 8, -5 / 8)


def _toom_cook() -> list[NDArray[np.float32]]:
    """B^T (6, 6) for inputs, G (6, 3) for kernels and A^T (4, 6) for outputs.

    Barabasz et al. 2018 (arXiv 1803.10986), section 3: a 1-D convolution of `d` with `g` is A^T ((G g) * (B^T d)).
    """
    others = [[other for other in POINTS if other != point] for point in POINTS]
    scales = [np.prod(np.subtract(point, roots)) for point, roots in zip(POINTS, others, strict=True)]
    # The last row or column is that of infinity.
    inputs = [np.append(np.poly(roots)[::-1], 0) for roots in others] + [np.poly(POINTS)[::-1]]
    kernels = np.vstack([np.vander(POINTS, 3, increasing=True) / np.array(scales)[:, None], [0, 0, 1]])
    outputs = np.vstack([np.vander(POINTS, TILE, increasing=True), [0, 0, 0, 1]]).T
    return [np.array(matrix, np.float32) for matrix in (inputs, kernels, outputs)]


INPUT_TRANSFORM, KERNEL_TRANSFORM, OUTPUT_TRANSFORM = _toom_cook()

# Where it is faster than the direct kernels. Measured on two cores with AVX2, batches of 128 and 500, forward and
# backward: 8x8 pixels, 128 to 256 channels 1.6 to 2.0 times as fast; 7x7, 256 to 256 2.0; 16x16, 64 to 128 1.2 to 1.6;
# but 16x16, 32 to 64 only 0.8 and 32x32, 32 to 64 0.6.
# In bfloat16, with AVX-512: 8x8, 128 to 256 2.1; 7x7, 256 to 256 2.3; 16x16, 64 to 128 1.2 to 1.3.
MOST_PIXELS, FEWEST_CHANNELS, MORE_CHANNELS = 16, 64, 128


def pays(inputs: Any, kernel: Any) -> bool:
    """Tell whether a convolution of `inputs` (B, H, W, C) with `kernel` (3, 3, C, K) is faster this way."""
    narrow, wide = sorted(kernel.shape[2:])
    sides = inputs.shape[1:3]
    return None not in sides and max(sides) <= MOST_PIXELS and narrow >= FEWEST_CHANNELS and wide >= MORE_CHANNELS


def convolve(inputs: Any, kernel: Any) -> Any:
    """Return the convolution of `inputs` with `kernel` in steps of one pixel, with zeros around.

    Of the outputs' standard deviation, its rounding errors are 1.1e-6 in float32, twice those of the direct way, and
    1.6e-2 in bfloat16, five times those of the direct way, since what is transformed is rounded once more.

    Args:
        inputs: (B, H, W, C) float32 or bfloat16; H, W and C are known.
        kernel: (3, 3, C, K) of the same type.

    Returns:
        (B, H, W, K) of that type.
    """
    height, width, channels = inputs.shape[1:]
    filters = kernel.shape[-1]
    to_rows, from_rows = _transforms(height, inputs.dtype)
    to_columns, from_columns = _transforms(width, inputs.dtype)
    rows, columns = to_rows.shape[0] // REACH, to_columns.shape[0] // REACH  # of tiles
    # Pixels first, so that each transform is one product with a small matrix.
    x = tf.reshape(tf.transpose(inputs, [1, 2, 0, 3]), [height, -1])
    x = tf.reshape(to_rows @ x, [REACH * rows, width, -1])
    x = tf.reshape(to_columns @ x, [REACH, rows, REACH, -1, channels])  # of each tile row: (columns x B, channels)
    x = x @ _transformed(kernel)
    x = tf.reshape(x, [REACH * rows, REACH * columns, -1])
    x = tf.reshape(from_columns @ x, [REACH * rows, -1])
    return tf.transpose(tf.reshape(from_rows @ x, [height, width, -1, filters]), [2, 0, 1, 3])


def _transformed(kernel: Any) -> Any:
    """Return (6, 1, 6, C, K) from (3, 3, C, K)."""
    both = np.kron(KERNEL_TRANSFORM, KERNEL_TRANSFORM)  # (36, 9), which bfloat16 would round
    kernels = both @ tf.reshape(tf.cast(kernel, tf.float32), [9, -1])
    return tf.cast(tf.reshape(kernels, [REACH, 1, REACH, *kernel.shape[2:]]), kernel.dtype)


def _transforms(extent: int, dtype: Any) -> tuple[Any, Any]:
    """Of all tiles along an axis of `extent` pixels: (6 x tiles, extent), and (extent, 6 x tiles) back to outputs."""
    tiles = -(-extent // TILE)
    # Tile t depends on the inputs from 4 t - 1 on; those outside the image are zero.
    inputs = np.zeros((REACH, tiles, TILE * tiles + 2), np.float32)
    outputs = np.zeros((TILE * tiles, REACH, tiles), np.float32)
    for tile in range(tiles):
        inputs[:, tile, TILE * tile : TILE * tile + REACH] = INPUT_TRANSFORM
        outputs[TILE * tile : TILE * (tile + 1), :, tile] = OUTPUT_TRANSFORM
    both = inputs[..., 1 : extent + 1].reshape(-1, extent), outputs[:extent].reshape(extent, -1)
    return tf.constant(both[0], dtype), tf.constant(both[1], dtype)
