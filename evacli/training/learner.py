"""The learner: a network and the engine that trains it, put together from a configuration and data."""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from evacli import console, engine, memory, models, paths
from evacli.backend import keras
from evacli.config import Config
from evacli.data.types import Data
from evacli.engine.base import Engine, Plan
from evacli.engine.trunk import start_head
from evacli.errors import ConfigError, PrecisionError
from evacli.models import backbones, pretrained
from evacli.models.regularisation import Regularisation, decide_dropout
from evacli.run.summary import Origin
from evacli.training import finetuning
from evacli.training.batching import Batching
from evacli.training.imbalance import class_weights, hint

SMALLEST_BATCH = 8  # of those that nobody asked for: what batch normalisation learns from fewer is mostly noise


@dataclass(frozen=True)
class Learner:
    """A network, the engine that trains it, and how it is shown its images.

    Attributes:
        config: with every value decided.
        data: what it learns from.
        network: plain Keras layers, from raw pixels to probabilities, as `engine.sync` last left it.
        engine: what trains.
        batching: how the images are dealt into batches.
        origin: where the weights come from that the network began with; None: they were random.
    """

    config: Config
    data: Data
    network: keras.Model
    engine: Engine
    batching: Batching
    origin: Origin | None = None


def assemble(config: Config, data: Data) -> Learner:
    """Build the learner; the same configuration and data give the same learner.

    Raises:
        ConfigError: if a setting does not fit the images.
        ModelError: if the network cannot be built.
    """
    try:
        return _assemble(config, data)
    except PrecisionError as e:
        if config.precision != "auto":
            raise
        console.warn(f"{e.message} So it is trained in float32.")
        return _assemble(msgspec.structs.replace(config, precision="float32"), data)


def _assemble(config: Config, data: Data) -> Learner:
    computes = engine.create()
    config = _resolve(config, data, computes)
    keras.utils.set_random_seed(config.seed)
    regularisation = Regularisation.of(config)
    with console.status("Building the network"):
        network = models.build(config.model, data.image_shape, data.num_classes, data.mean, data.std, regularisation)
        models.start(config.model, network, data.train.images)
    config, computes, factors, origin = _pretrained(network, config, data, computes)
    if config.class_weights == "none":
        hint(data.train.labels, data.class_names)
    config = _fitting(config, lambda config: computes.need(network, _plan(config, data, factors)))
    batching, plan = Batching(config, len(data.train)), _plan(config, data, factors)
    model, largest = paths.on_file(config.model, paths.shown), batching.size(config.epochs - 1)
    memory.require(
        computes.need(network, plan),
        f"Training --model {model} in batches of {largest} takes",
        memory.lighter(config.largest_batch),
    )
    with console.status("Preparing the training"):
        computes.prepare(network, plan)
    return Learner(config, data, network, computes, batching, origin)


def _pretrained(
    network: keras.Model, config: Config, data: Data, computes: Engine
) -> tuple[Config, Engine, dict[str, float], Origin | None]:
    """Give a network the weights that it is to begin with, if such were named, and what they call for.

    Returns:
        The configuration with what fine-tuning decides, the engine for it, the factors of its rates, and the weights'
        origin.
    """
    origin = pretrained.start(network, config)
    if origin is None:
        return config, computes, {}, None
    config = finetuning.decide(config, network, len(data.train))
    backbones.freeze(network, finetuning.cut(config))
    if not finetuning.cut(config):
        start_head(network, data.train.images, data.train.labels)
    factors = backbones.rate_factors(network, float(config.backbone_rate or 1))
    return config, engine.create(finetuning.frozen(config, data)), factors, origin


def _plan(config: Config, data: Data, factors: dict[str, float]) -> Plan:
    batching = Batching(config, len(data.train))
    red, green, blue = map(round, data.mean)
    return Plan(
        config=config,
        images=data.train.images,
        labels=data.train.labels,
        fill=(red, green, blue),
        steps_per_epoch=batching.fewest_steps,
        accumulated=batching.accumulated,
        class_weights=class_weights(data.train.labels, config.class_weights),
        rate_factors=factors,
    )


def _fitting(config: Config, need: Callable[[Config], int]) -> Config:
    """Decide the batch size where there is only a limit: halve that until a step fits into what is free.

    Args:
        config: says the limit.
        need: estimates the bytes that a training takes.
    """
    wanted, free = config.largest_batch, memory.available()
    if config.batch_size == wanted or wanted == "full":
        return config
    size = wanted
    while free is not None and size // 2 >= SMALLEST_BATCH and need(_with_batches(config, size)) > free:
        size //= 2
    if size < wanted and free is not None:
        needed = need(_with_batches(config, wanted))
        console.warn(
            f"Batches of {wanted} take about {needed / 2**30:.1f} GB of memory; {free / 2**30:.1f} GB are free. "
            f"So they are of {size}."
        )
    return _with_batches(config, size)


def _with_batches(config: Config, size: int) -> Config:
    return msgspec.structs.replace(config, batch_size=size)


def _resolve(config: Config, data: Data, computes: Engine) -> Config:
    """Decide what was left open: Cutout of half the shorter side, a crop of an eighth of it, and so on."""
    side = min(data.image_shape[:2])
    with console.status("Measuring which precision is faster here"):
        precision = computes.precision(config.precision)
    resolved = msgspec.structs.replace(decided(config, data), precision=precision)
    for name, value, limit in (("cutout", resolved.cutout, 2 * side), ("crop", resolved.crop, side)):
        if value is not None and value > limit:
            raise ConfigError(f"--{name} {value} is too much for images of {side} pixels.", f"Use at most {limit}.")
    return resolved


def decided(config: Config, data: Data) -> Config:
    """Decide what of the settings depends on the data, where it is left open.

    Args:
        config: whose values are kept where it has some.
        data: whose size and kind decide.
    """
    side = min(data.image_shape[:2])
    return msgspec.structs.replace(
        config,
        cutout=side // 2 if config.cutout is None else config.cutout,
        crop=side // 8 if config.crop is None else config.crop,
        flip=data.flippable if config.flip is None else config.flip,
        dropout=decide_dropout(config),
    )
