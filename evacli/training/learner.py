"""The learner: a network and the engine that trains it, put together from a configuration and data."""

from dataclasses import dataclass

import msgspec

from evacli import console, engine, memory, models, paths
from evacli.backend import keras
from evacli.config import Config
from evacli.data.types import Data
from evacli.engine.base import Engine, Plan
from evacli.errors import ConfigError, PrecisionError
from evacli.models.regularisation import Regularisation, decide_dropout
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
    """

    config: Config
    data: Data
    network: keras.Model
    engine: Engine
    batching: Batching


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
    if config.class_weights == "none":
        hint(data.train.labels, data.class_names)
    config = _fitting(config, data, network, computes)
    batching, plan = Batching(config, len(data.train)), _plan(config, data)
    model, largest = paths.on_file(config.model, paths.shown), batching.size(config.epochs - 1)
    memory.require(
        computes.need(network, plan),
        f"Training --model {model} in batches of {largest} takes",
        memory.lighter(config.largest_batch),
    )
    with console.status("Preparing the training"):
        computes.prepare(network, plan)
    return Learner(config, data, network, computes, batching)


def _plan(config: Config, data: Data) -> Plan:
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
    )


def _fitting(config: Config, data: Data, network: keras.Model, computes: Engine) -> Config:
    """Decide the batch size where there is only a limit: halve that until a step fits into what is free."""
    wanted, free = config.largest_batch, memory.available()
    if config.batch_size == wanted or wanted == "full":
        return config

    def need(size: int) -> int:
        return computes.need(network, _plan(msgspec.structs.replace(config, batch_size=size), data))

    size = wanted
    while free is not None and size // 2 >= SMALLEST_BATCH and need(size) > free:
        size //= 2
    if size < wanted and free is not None:
        console.warn(
            f"Batches of {wanted} take about {need(wanted) / 2**30:.1f} GB of memory; {free / 2**30:.1f} GB are free. "
            f"So they are of {size}."
        )
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
