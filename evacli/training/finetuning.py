"""What fine-tuning decides: which layers of a pretrained network stay as they are, and what they are shown."""

import math

import msgspec

from evacli import config as configuration
from evacli import memory
from evacli.backend import keras
from evacli.catalogue.networks import NETWORKS
from evacli.config import Config
from evacli.data.types import Data
from evacli.engine.trunk import Frozen
from evacli.models import backbones
from evacli.run.versions import versions

BACKBONE_RATE = 0.3
MOST_VIEWS = 4  # what auto takes
ACTIVATION = 2  # bytes


def decide(config: Config, network: keras.Model, images: int) -> Config:
    """Return a configuration with what it leaves open on fine-tuning decided.

    Args:
        config: of a training that starts from given weights.
        network: with these weights.
        images: how many are learnt from.

    Raises:
        ModelError: if the network cannot be frozen up to the layer that it names.
    """
    known = NETWORKS[config.model].pretrained
    assert known is not None
    until = known.cut if config.freeze_until in (None, "auto") else config.freeze_until
    decided = msgspec.structs.replace(config, freeze_until=until, backbone_rate=config.backbone_rate or BACKBONE_RATE)
    if until == "none":
        return decided
    trunk, _ = backbones.cut_at(network, cut(decided))
    return msgspec.structs.replace(
        decided, views=config.views or views(images * math.prod(trunk.output_shape[1:]), config.epochs)
    )


def views(numbers: int, epochs: int, free: int | None = None) -> int:
    """Return how many views are computed where nobody says it.

    More than there are epochs would not be seen; and what half of the free memory cannot hold is read slowly.

    Args:
        numbers: how many one view of all images has.
        epochs: of the training.
        free: bytes of memory; by default what there is.

    Example:
        >>> views(numbers=10**6, epochs=8, free=2**30)
        4
    """
    free = memory.available() if free is None else free
    room = MOST_VIEWS if free is None else free // 2 // (numbers * ACTIVATION)
    return max(1, min(MOST_VIEWS, epochs, room))


def cut(config: Config) -> str:
    """Return the layer behind which a network learns, empty if all of it does."""
    return {"all": backbones.HEAD[0], "none": ""}.get(str(config.freeze_until), str(config.freeze_until))


def frozen(config: Config, data: Data) -> Frozen | None:
    """Return what of a network, on which all is decided, stays as it is; None for one that learns all over."""
    if not config.starts_pretrained or not cut(config):
        return None
    assert config.views is not None
    name = f"{configuration.data_name(config)}, {config.views} views up to {config.freeze_until} of {config.model}"
    return Frozen(cut(config), config.views, data.fingerprint, name, repr(sorted(versions().items())))
