"""Named architectures, and the user's own, as networks that take raw pixels."""

from collections.abc import Sequence
from pkgutil import resolve_name
from typing import Any

import numpy as np

from evacli import network_file
from evacli.backend import keras
from evacli.catalogue.networks import NETWORKS
from evacli.data.images import Images
from evacli.models import custom
from evacli.models.regularisation import Regularisation

START_PIXELS = 5000 * 32 * 32  # more would only cost memory


def build(
    name: str,
    image_shape: tuple[int, int, int],
    num_classes: int,
    mean: Sequence[float],
    std: Sequence[float],
    regularisation: Regularisation | None = None,
) -> keras.Model:
    """Make an untrained network of plain Keras layers that needs no preprocessing outside.

    Args:
        name: one of `NETWORKS`, or the user's own `path/to/file.py:function` (see `evacli.models.custom`).
        image_shape: (H, W, channels).
        num_classes: how many classes there are.
        mean: grey level per channel that becomes zero, exactly.
        std: grey levels per channel that become one; a constant channel, whose std is 0, is only shifted.
        regularisation: changes to the network's dropout, and noise on its inputs.

    Returns:
        A model from raw pixels, (B, H, W, channels) in 0..255, to class probabilities, (B, num_classes) float32.

    Raises:
        ModelError: if the name is unknown, the images are too small or the user's file does not deliver.
        MemoryShort: if that asks for more weights than could be trained here.
    """
    pixels = keras.Input(image_shape, name="pixels")
    regularisation = regularisation or Regularisation()
    if (known := NETWORKS.get(name)) and known.pretrained:
        mean, std = known.pretrained.colours
    x = regularisation.on_pixels(_normalise(mean, std)(pixels))
    return regularisation.on_dropout(_network(name, pixels, x, num_classes))


def start(name: str, model: keras.Model, images: Images) -> None:
    """Set those first weights of a network that `build` made which depend on its training images."""
    if name in NETWORKS and NETWORKS[name].start:
        # From all over the set: images out of folders come class by class.
        number = max(1, START_PIXELS // (images.shape[0] * images.shape[1]))
        some = np.linspace(0, len(images) - 1, min(len(images), number), dtype=int)
        resolve_name(NETWORKS[name].start)(model, images.read(some))


def _network(name: str, pixels: Any, x: Any, num_classes: int) -> keras.Model:
    if name in NETWORKS:
        return keras.Model(pixels, resolve_name(NETWORKS[name].builder)(x, num_classes), name=name)
    network_file.require(name)
    return keras.Model(pixels, custom.apply(name, x, num_classes), name="custom")


def _normalise(mean: Sequence[float], std: Sequence[float]) -> keras.layers.Layer:
    scale = 1 / np.where(std, std, 1).astype(np.float32)
    # In float32 like the layer's own product, so that a pixel of the mean colour is exactly zero.
    offset = -(np.asarray(mean, np.float32) * scale)
    return keras.layers.Rescaling(scale.tolist(), offset.tolist(), name="normalise")
