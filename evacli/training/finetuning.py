"""What fine-tuning decides: which layers of a pretrained network stay as they are, and what they are shown."""

import math

import msgspec

from evacli import config as configuration
from evacli import memory
from evacli.backend import keras
from evacli.catalogue.networks import NETWORKS
from evacli.config import Config
from evacli.data import cache
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
    given, space = config.freeze_until, room()
    until = first_cut(config.model, network, images, space) if given in (None, "auto") else given
    decided = msgspec.structs.replace(config, freeze_until=until, backbone_rate=config.backbone_rate or BACKBONE_RATE)
    if until == "none":
        return decided
    trunk, _ = backbones.cut_at(network, cut(decided))
    return msgspec.structs.replace(
        decided, views=config.views or views(images * math.prod(trunk.output_shape[1:]), config.epochs, space)
    )


def first_cut(model: str, network: keras.Model, images: int, space: float) -> str:
    """Return the layer up to which a network is frozen where nobody says it: the one that suits it.

    Time does not ask for another: the trunk and the epochs behind it take longer with more images in the same measure.
    But where there is no space for even one view, it is the first layer behind it that gives few enough numbers.

    Args:
        model: the name of the network.
        network: itself.
        images: how many are learnt from.
        space: bytes for what they become.
    """
    known = NETWORKS[model].pretrained
    assert known is not None
    possible = backbones.cuts(network)
    names = list(possible)
    later = names[names.index(known.cut) : names.index(backbones.HEAD[0])]
    fitting = (name for name in later if images * math.prod(possible[name].shape[1:]) * ACTIVATION <= space)
    return next(fitting, "all")


def views(numbers: int, epochs: int, space: float) -> int:
    """Return how many views are computed where nobody says it; more than there are epochs would not be seen.

    Args:
        numbers: how many one view of all images has.
        epochs: of the training.
        space: bytes for all views.

    Example:
        >>> views(numbers=10**6, epochs=8, space=2**29)
        4
    """
    return max(1, min(MOST_VIEWS, epochs, int(min(space // (numbers * ACTIVATION), MOST_VIEWS))))


def room() -> float:
    """Return how many bytes the views may take: what the disk has, and half of the free memory, or reading is slow."""
    free = memory.available()
    return min(cache.room(), math.inf if free is None else free // 2)


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
