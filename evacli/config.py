"""The validated configuration of a run.

`None` stands for what is still open. Of the network and the images, training decides it and stores its decision; of the
optimizer and the schedule, it stays and means their own default.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta

from evacli.catalogue import optimizers
from evacli.catalogue.optimizers import HYPERPARAMETERS, OPTIMIZERS
from evacli.errors import ConfigError
from evacli.messages import field_of, in_words

Dataset = Literal["cifar10", "cifar100", "fashion_mnist", "mnist", "digits"]
Schedule = Literal["constant", "step", "linear", "exponential", "cosine", "plateau", "cyclical", "one-cycle"]
Cycle = Literal["triangular", "triangular2", "exp-range"]
Precision = Literal["auto", "float32", "bfloat16"]
CropBorder = Literal["mean", "reflect"]
Count = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Pixels = Annotated[int, Meta(ge=0, le=4096)]
Rate = Annotated[float, Meta(gt=0, le=1e6)]
Share = Annotated[float, Meta(ge=0, lt=1)]
Scale = Annotated[float, Meta(ge=0, le=1e6)]


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a run is made with. Pixels, epochs and images are counts; rates are per step."""

    # data
    dataset: Dataset = "cifar10"
    data: str | None = None
    val_split: Share = 0.0
    limit_train: Count | None = None
    limit_test: Count | None = None
    skip_bad: bool = False
    # network; dropout: its own rates, or one for all its layers; None: none in eva, else its own
    model: Annotated[str, Meta(min_length=1)] = "eva"
    dropout: Share | Literal["own", "none"] | None = None
    spatial_dropout: bool = False
    input_noise: Scale = 0.0
    # augmentation; None: chosen from the size and the kind of the images
    cutout: Pixels | None = None
    crop: Pixels | None = None
    crop_border: CropBorder = "mean"
    flip: bool | None = None
    # optimisation; lr auto: the suggestion of lr-find, else the optimizer's own; None: the optimizer's own
    optimizer: optimizers.Name = "sgdw"
    lr: Rate | Literal["auto"] = "auto"
    momentum: Share | None = None
    beta_1: Share | None = None
    beta_2: Share | None = None
    rho: Share | None = None
    epsilon: Rate | None = None
    weight_decay: Annotated[float, Meta(ge=0, le=1)] | None = None
    gradient_noise: Scale = 0.0
    label_smoothing: Share = 0.0
    batch_size: Count | Literal["full"] = 128
    epochs: Count = 100
    # schedule; None: the schedule's own
    schedule: Schedule = "one-cycle"
    warmup_epochs: Annotated[float, Meta(ge=0, le=1e6)] | None = None
    base_lr: Rate | None = None
    cycle: Cycle | None = None
    cycles: Count | None = None
    drop_factor: Annotated[float, Meta(gt=1, le=1e6)] | None = None
    grow_batch: Count | None = None
    # tests
    test_every: Count = 1
    tta: bool = False
    # both
    seed: Annotated[int, Meta(ge=0, le=2**31 - 1)] = 0
    precision: Precision = "auto"

    @property
    def uses_tta(self) -> bool:
        """Whether images are evaluated together with their mirror images: where training mirrors them too."""
        return self.tta and bool(self.flip)


# May change between two commands on a trained run: how long it trains, how often it is tested, and where the same data
# lies.
CHANGEABLE = frozenset({"epochs", "test_every", "dataset", "data", "skip_bad"})

# What only some choices of another setting can use: that setting, and these choices.
BELONGS_TO: dict[str, tuple[str, tuple[str, ...]]] = {
    **{h: ("optimizer", tuple(n for n, m in OPTIMIZERS.items() if h in m.hyperparameters)) for h in HYPERPARAMETERS},
    "base_lr": ("schedule", ("cyclical", "one-cycle")),
    "cycle": ("schedule", ("cyclical",)),
    "cycles": ("schedule", ("cyclical",)),
    "drop_factor": ("schedule", ("step",)),
    "grow_batch": ("schedule", ("step",)),
}

# What is chosen for a network or for images, and does not bind others: those settings that name them.
CHOSEN_FOR: dict[str, tuple[str, ...]] = {
    "dropout": ("model",),
    "cutout": ("dataset", "data"),
    "crop": ("dataset", "data"),
    "flip": ("dataset", "data"),
}


# What settings and figures were called before, in files and on command lines that exist.
FORMER_NAMES = {"mirror_test": "tta"}


def with_current_names(document: Any) -> Any:
    """Renames what a document of an earlier version, parsed JSON or TOML, calls by a former name."""
    if isinstance(document, dict):
        return {FORMER_NAMES.get(name, name): with_current_names(value) for name, value in document.items()}
    return [with_current_names(item) for item in document] if isinstance(document, list) else document


def option(field: str) -> str:
    """The command-line spelling of a configuration field."""
    return "--" + field.replace("_", "-")


def make(settings: Mapping[str, Any], base: Config | None = None) -> Config:
    """`base` (default: the defaults) with `settings` applied; validates every value.

    Raises:
        ConfigError: naming the option, the value and what was expected.
    """
    settings = with_current_names(dict(settings))
    inherited = msgspec.structs.asdict(base or Config())
    values = inherited | {name: _plain(value) for name, value in settings.items()}
    for name in BELONGS_TO:
        # What another optimizer or schedule was told does not bind this one.
        if name not in settings and not _belongs(name, values):
            values[name] = None
    made = _convert(values)
    _check_together(made)
    return made


def unbound(stored: Config, wanted: Config) -> Config:
    """`stored` without what was chosen, by its user or by training, for another network or other images than `wanted`.

    Which dropout, or which augmentation, then is open again.
    """
    changed = set(differences(stored, wanted))
    return msgspec.structs.replace(stored, **{name: None for name, of in CHOSEN_FOR.items() if changed & set(of)})


def over(base: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that belong together, such as a recipe's, under those that were given.

    What would mean nothing beside these is left out: another optimizer's momentum, the data beside another data set.
    """
    kept = dict(base)
    for name, (setting, choices) in BELONGS_TO.items():
        if setting in given and given[setting] not in choices:
            kept.pop(name, None)
    if "dataset" in given or "data" in given:
        kept.pop("dataset", None)
        kept.pop("data", None)
    return kept | dict(given)


def check(settings: Mapping[str, Any]) -> None:
    """Validates each value in itself, for a moment at which it is not yet known what else the run has stored.

    Raises:
        ConfigError: naming the option, the value and what was expected.
    """
    _convert(msgspec.structs.asdict(Config()) | with_current_names(dict(settings)))


def _convert(values: Mapping[str, Any]) -> Config:
    try:
        return msgspec.convert(values, Config)
    except msgspec.ValidationError as e:
        raise _config_error(str(e), values) from e


def _belongs(name: str, values: Mapping[str, Any]) -> bool:
    setting, choices = BELONGS_TO[name]
    return values[setting] in choices


def _check_together(made: Config) -> None:
    """Refuses values that are right in themselves but not beside the others."""
    values = msgspec.structs.asdict(made)
    for name, (setting, choices) in BELONGS_TO.items():
        if values[name] is not None and not _belongs(name, values):
            raise ConfigError(
                f"{option(name)} {values[name]} means nothing to {option(setting)} {values[setting]}.",
                f"It belongs to {option(setting)} {', '.join(choices)}.",
            )
    if made.base_lr is not None and made.lr != "auto" and made.base_lr >= made.lr:
        raise ConfigError(f"--base-lr {made.base_lr:g} is not below the peak, {made.lr:g}.", "Exchange them.")
    if made.warmup_epochs is not None and made.warmup_epochs > made.epochs:
        raise ConfigError(
            f"--warmup-epochs {made.warmup_epochs:g} is more than --epochs {made.epochs}.", "Warm up less."
        )
    if made.schedule == "plateau" and made.test_every != 1:
        raise ConfigError(
            f"--test-every {made.test_every} leaves --schedule plateau without the losses that it watches.",
            "Give --test-every 1.",
        )
    if made.optimizer == "lion" and made.beta_1 == 0:
        raise ConfigError(
            "--beta-1 0 leaves --optimizer lion without its average.", "Give more than 0; its own is 0.9."
        )
    if made.grow_batch is not None and (made.batch_size == "full" or made.grow_batch < made.batch_size):
        raise ConfigError(
            f"--grow-batch {made.grow_batch} is no room to grow for --batch-size {made.batch_size}.",
            "It is the largest batch.",
        )


def _plain(value: Any) -> Any:
    # What a notebook has at hand: a Path, a number out of an array.
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return value.item() if hasattr(value, "item") else value


def _config_error(reason: str, values: Mapping[str, Any]) -> ConfigError:
    field = field_of(reason)
    if field not in values:
        known = ", ".join(sorted(Config.__struct_fields__))
        return ConfigError(f"There is no such setting: {reason}.", f"The settings are: {known}.")
    return ConfigError(f"{option(field)} {values[field]}: {in_words(reason)}.", _choices(field))


def _choices(field: str) -> str:
    if field == "lr":
        return "Give a number or auto."
    if field == "dropout":
        return "Give a rate, own or none."
    if field == "batch_size":
        return "Give a number of images, or full."
    literals = {
        "dataset": Dataset,
        "optimizer": optimizers.Name,
        "schedule": Schedule,
        "cycle": Cycle,
        "crop_border": CropBorder,
        "precision": Precision,
    }
    choices = get_args(literals.get(field))
    return f"Choose one of {', '.join(choices)}." if choices else ""


def contradictions(stored: Config, wanted: Config) -> str:
    """The settings in which two configurations differ and must not, as a person reads them; empty if none."""
    differing = [f for f in differences(stored, wanted) if f not in CHANGEABLE]
    return "; ".join(f"{option(f)} {_spelled(wanted, f)} (run: {_spelled(stored, f)})" for f in differing)


def _spelled(config: Config, field: str) -> object:
    value = getattr(config, field)
    return "default" if value is None else value


def differences(a: Config, b: Config) -> list[str]:
    """The fields in which two configurations differ."""
    return [f for f in Config.__struct_fields__ if getattr(a, f) != getattr(b, f)]


def data_name(config: Config) -> str:
    """What the data of a run is called: the data set, or the last part of the path."""
    return Path(config.data).name if config.data else config.dataset
