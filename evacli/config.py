"""The validated configuration of a run.

`None` stands for what is still open. Of the network and the images, training decides it and stores its decision; of the
optimizer and the schedule, it stays and means their own default.
"""

import inspect
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import Meta

from evacli import paths
from evacli.catalogue import optimizers
from evacli.catalogue.datasets import DATASETS
from evacli.catalogue.networks import NETWORKS
from evacli.catalogue.optimizers import HYPERPARAMETERS, OPTIMIZERS
from evacli.catalogue.schedules import SCHEDULES
from evacli.errors import ConfigError
from evacli.messages import field_of, in_words, meant, short
from evacli.settings import Setting, described

Function = TypeVar("Function", bound=Callable[..., Any])

if TYPE_CHECKING:
    Dataset: TypeAlias = str
    Optimizer: TypeAlias = str
    Schedule: TypeAlias = str
else:  # names out of tables, which a type checker cannot look up
    Dataset, Optimizer, Schedule = Literal[tuple(DATASETS)], Literal[tuple(OPTIMIZERS)], Literal[tuple(SCHEDULES)]
Cycle = Literal["triangular", "triangular2", "exp-range"]
Precision = Literal["auto", "float32", "bfloat16", "float16"]
CropBorder = Literal["mean", "reflect"]
Resize = Literal["crop", "pad", "stretch"]
Layer = Annotated[str, Meta(min_length=1, max_length=200)]
ClassOrder = Literal["natural", "characters"]
DEFAULT_DATASET = "cifar10"
UP_TO = "up-to-"  # before the size of batches that may be lowered to what memory holds
Count = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Pixels = Annotated[int, Meta(ge=0, le=4096)]
Rate = Annotated[float, Meta(gt=0, le=1e6)]
Share = Annotated[float, Meta(ge=0, lt=1)]
Scale = Annotated[float, Meta(ge=0, le=1e6)]
# What the system takes for a path: no zero character, no surrogate but those that stand for a byte of a file name.
PathLike = Annotated[str, Meta(pattern=r"\A[^\x00\ud800-\udc7f\udd00-\udfff]*\Z")]

_SIDE, _SHARE = r"[1-9]\d{0,3}", r"(0?\.\d{1,9}|1(\.0*)?)"
_data, _network, _augmentation, _optimisation, _schedule = (
    partial(Setting, panel) for panel in ("Data", "Network", "Augmentation", "Optimisation", "Schedule")
)
_networks = {name: network.about for name, network in NETWORKS.items()}
NAMED_WEIGHTS = {"imagenet": "those of keras.applications", "none": "random ones"}
_pretrained = [name for name, network in NETWORKS.items() if network.pretrained]
_not_flippable = ", ".join(name for name, dataset in DATASETS.items() if not dataset.flippable)
_without_dropout = ", ".join(name for name, network in NETWORKS.items() if not network.own_dropout)


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a run is made with. Pixels, epochs and images are counts; rates are per step."""

    # data
    dataset: Annotated[Dataset | None, _data("{names}.")] = DEFAULT_DATASET
    data: Annotated[
        PathLike | None,
        _data("Your own: folders of pictures, an archive or list of them, or arrays.", metavar="PATH"),
    ] = None
    test_split: Annotated[
        Annotated[float, Meta(gt=0, lt=1)] | None,
        _data("Share kept for tests, of data that have none.", "0.2"),
    ] = None
    val_split: Annotated[
        Share,
        _data("Share held back to choose the best epoch; 0: test images do."),
    ] = 0.0
    limit_train: Annotated[Count | None, _data("Use only N training images.")] = None
    limit_test: Annotated[Count | None, _data("Use only N test images.")] = None
    memory: Annotated[
        Annotated[float, Meta(ge=0, le=1e6)] | None,
        _data("Decode images that take more to disk: evacli cache.", "half of what is free", metavar="GB"),
    ] = None
    skip_bad: Annotated[bool, _data("Go on without unreadable image files.")] = False
    image_size: Annotated[
        Annotated[str, Meta(pattern=rf"\A{_SIDE}(x{_SIDE})?\Z")] | None,
        _data(
            "Pixels to bring pictures to.",
            "most common size, at most 224 a side",
            metavar="N|HxW",
            spelled="a side as 160, or height and width as 120x160",
        ),
    ] = None
    resize: Annotated[Resize, _data("Other proportions: crop to the middle, pad with bars, or stretch.")] = "crop"
    class_order: Annotated[ClassOrder, _data("Sort names by the numbers in them, or characters.")] = "natural"
    # network
    model: Annotated[
        PathLike, Meta(min_length=1), _network("{names}, or your own path/to/file.py:build.", known=_networks)
    ] = "eva"
    weights: Annotated[
        PathLike | None,
        _network(
            "Weights to start from: imagenet, none, or a file.",
            "none",
            metavar="NAME",
            known=NAMED_WEIGHTS,
        ),
    ] = None
    freeze_until: Annotated[
        Layer | None,
        _network(
            "Last layer of those weights to keep: its name, auto, all, none.",
            "auto",
            metavar="LAYER",
            known={"auto": "what suits the network", "all": "all but the head", "none": "train every layer"},
        ),
    ] = None
    dropout: Annotated[
        Share | Literal["own", "none"] | None,
        _network(
            "Share to drop, or own (each layer's), or none.",
            f"{_without_dropout} none, others own",
        ),
    ] = None
    spatial_dropout: Annotated[bool, _network("Drop whole feature maps.")] = False
    # Keras' layer has no more.
    input_noise: Annotated[Annotated[float, Meta(ge=0, le=1)], _network("Deviation of noise on the pixels.")] = 0.0
    # augmentation; None: chosen from the size and the kind of the images
    cutout: Annotated[Pixels | None, _augmentation("Side of the square to erase; 0: off.", "half the image")] = None
    crop: Annotated[
        Pixels | None,
        _augmentation("Pad, then crop, by N pixels; 0: off.", "1/8 of the image"),
    ] = None
    crop_border: Annotated[CropBorder, _augmentation("What that pads with: mean or reflect.")] = "mean"
    flip: Annotated[
        bool | None,
        _augmentation(
            "Mirror images in every other epoch.",
            f"yes, not for {_not_flippable}",
            negated=True,
        ),
    ] = None
    scale: Annotated[
        Annotated[float, Meta(gt=0, le=1)] | Annotated[str, Meta(pattern=rf"\A{_SHARE}-{_SHARE}\Z")],
        _augmentation(
            "Enlarge a random part, of a share as 0.35-1; 1: off.",
            metavar="X-Y",
            spelled="two shares as 0.35-1, or the smaller one",
        ),
    ] = 1.0
    jitter: Annotated[
        Annotated[float, Meta(ge=0, le=1)], _augmentation("Vary brightness, contrast and saturation by a share.")
    ] = 0.0
    rand_augment: Annotated[
        Annotated[float, Meta(ge=0, le=30)], _augmentation("Magnitude, up to 30, of two random operations.")
    ] = 0.0
    views: Annotated[
        Count | None,
        _augmentation("Changed views of each image, behind layers that are kept.", "4"),
    ] = None
    mixup: Annotated[Scale, _augmentation("Lay images over each other, in parts from Beta(X, X).")] = 0.0
    # optimisation; lr auto: the suggestion of lr-find, else the optimizer's own; None: the optimizer's own
    optimizer: Annotated[Optimizer, _optimisation("{names}.")] = "sgdw"
    lr: Annotated[Rate | Literal["auto"], _optimisation("Peak learning rate; auto: lr-find's.")] = "auto"
    momentum: Annotated[
        Share | None,
        _optimisation("Share of a step that the next keeps.", optimizers.defaults("momentum")),
    ] = None
    beta_1: Annotated[
        Share | None,
        _optimisation("Share of the mean gradient that a step keeps.", optimizers.defaults("beta_1")),
    ] = None
    beta_2: Annotated[
        Share | None,
        _optimisation("The same of squared gradients; lion: its momentum.", optimizers.defaults("beta_2")),
    ] = None
    rho: Annotated[Share | None, _optimisation("The same of squared gradients.", optimizers.defaults("rho"))] = None
    epsilon: Annotated[
        Rate | None,
        _optimisation("Keeps from dividing by 0.", optimizers.defaults("epsilon")),
    ] = None
    weight_decay: Annotated[
        Annotated[float, Meta(ge=0, le=1)] | None,
        _optimisation(
            "Times the rate: share by which weights shrink in a step.",
            optimizers.weight_decays(),
        ),
    ] = None
    backbone_rate: Annotated[
        Annotated[float, Meta(gt=0, le=1)] | None,
        _optimisation("Share of the rate for the last of the given layers; its square for the first.", "0.3"),
    ] = None
    gradient_noise: Annotated[Scale, _optimisation("Noise on gradients, of variance X / (1 + step)^0.55.")] = 0.0
    label_smoothing: Annotated[Share, _optimisation("Share spread over all classes.")] = 0.0
    class_weights: Annotated[
        Annotated[float, Meta(ge=0, le=4)] | Literal["none", "balanced"],
        _optimisation("Weigh unequal classes: none, balanced, or its exponent."),
    ] = "none"
    batch_size: Annotated[
        Count | Annotated[str, Meta(pattern=rf"\A({UP_TO}[1-9]\d{{0,8}}|full)\Z")],
        _optimisation(
            "Images in a step; up-to-N: as memory allows; full: all.",
            spelled="a number, up-to- and a number, or full",
        ),
    ] = "up-to-128"
    epochs: Annotated[Count, _optimisation("Passes over the training images.")] = 100
    # schedule; None: the schedule's own
    schedule: Annotated[Schedule, _schedule("{names}.")] = "one-cycle"
    warmup_epochs: Annotated[
        Annotated[float, Meta(ge=0, le=1e6)] | None,
        _schedule("Epochs to the peak of the rate.", "one-cycle 1/4 of all, others 0"),
    ] = None
    base_lr: Annotated[
        Rate | None, _schedule("Lower end: cyclical's (lr-find's, else lr/10), one-cycle's (lr/25).")
    ] = None
    cycle: Annotated[Cycle | None, _schedule("Of cyclical: {names}.", "triangular")] = None
    cycles: Annotated[Count | None, _schedule("Of cyclical: how many.", "4")] = None
    drop_factor: Annotated[
        Annotated[float, Meta(gt=1, le=1e6)] | None,
        _schedule("Of step: divides the rate at 1/2 and 3/4.", "10"),
    ] = None
    grow_batch: Annotated[
        Count | None,
        _schedule("Of step: multiply the batch instead, up to N."),
    ] = None
    # tests
    test_every: Annotated[Count, _data("Test every N epochs, and after the last.")] = 1
    tta: Annotated[
        bool,
        _data(
            "Test-time augmentation: also show mirror images, where --flip is on.",
            negated=True,
        ),
    ] = False
    # both
    seed: Annotated[int, Meta(ge=0, le=2**31 - 1), _optimisation("Seed of everything random.")] = 0
    precision: Annotated[Precision, _network("{names}.", "whichever is faster here")] = "auto"

    def __post_init__(self) -> None:
        """Let one setting alone say which data it is: without `data` it is `dataset`, and beside it there is none.

        And let there be one spelling of no weights.
        """
        if self.weights == "none":
            msgspec.structs.force_setattr(self, "weights", None)
        if self.data is not None:
            msgspec.structs.force_setattr(self, "dataset", None)
        elif self.dataset is None:
            msgspec.structs.force_setattr(self, "dataset", DEFAULT_DATASET)

    @property
    def starts_pretrained(self) -> bool:
        """Whether it starts from weights that others have trained."""
        return self.weights is not None

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height that pictures are brought to; None: their own."""
        if self.image_size is None:
            return None
        height, _, width = self.image_size.partition("x")
        return int(width or height), int(height)

    @property
    def scales(self) -> tuple[float, float]:
        """Smallest and largest share of a picture that a random part of it may have."""
        if not isinstance(self.scale, str):
            return self.scale, 1.0
        low, high = self.scale.split("-")
        return float(low), float(high)

    @property
    def largest_batch(self) -> int | Literal["full"]:
        """Images in a step where memory holds them."""
        return "full" if self.batch_size == "full" else int(str(self.batch_size).removeprefix(UP_TO))

    @property
    def uses_tta(self) -> bool:
        """Whether images are evaluated together with their mirror images: where training mirrors them too."""
        return self.tta and bool(self.flip)


SETTINGS = described(Config)

# May change between two commands on a trained run: how long it trains, how often it is tested, and where the same data
# lies; and where the file of the same network lies, see `contradictions`.
CHANGEABLE = frozenset({"epochs", "test_every", "dataset", "data", "skip_bad", "memory"})

# What only some choices of another setting can use: that setting, and these choices.
BELONGS_TO: dict[str, tuple[str, tuple[str, ...]]] = {
    **{h: ("optimizer", tuple(n for n, m in OPTIMIZERS.items() if h in m.hyperparameters)) for h in HYPERPARAMETERS},
    "base_lr": ("schedule", ("cyclical", "one-cycle")),
    "cycle": ("schedule", ("cyclical",)),
    "cycles": ("schedule", ("cyclical",)),
    "drop_factor": ("schedule", ("step",)),
    "grow_batch": ("schedule", ("step",)),
}

# What only weights that others have trained can use.
FINE_TUNING = ("freeze_until", "views", "backbone_rate")

# What is chosen for a network or for images, and does not bind others: those settings that name them.
CHOSEN_FOR: dict[str, tuple[str, ...]] = {
    "dropout": ("model",),
    "freeze_until": ("model", "weights"),
    "views": ("model", "weights", "dataset", "data"),
    "cutout": ("dataset", "data"),
    "crop": ("dataset", "data"),
    "flip": ("dataset", "data"),
}


# What settings and figures were called before, in files and on command lines that exist.
FORMER_NAMES = {"mirror_test": "tta"}
# What was done before there was a choice.
BEFORE = {"resize": "stretch", "class_order": "characters"}


def with_current_names(document: Any) -> Any:
    """Rename what a document of an earlier version, parsed JSON or TOML, calls by a former name."""
    if isinstance(document, dict):
        return {FORMER_NAMES.get(name, name): with_current_names(value) for name, value in document.items()}
    return [with_current_names(item) for item in document] if isinstance(document, list) else document


def up_to_date(document: Any) -> Any:
    """Return a document of a run as this version would have written it: parsed JSON in, the same out.

    Settings have their present names, and a configuration that is older than a setting has what was done before it.

    Example:
        >>> up_to_date({"config": {"seed": 0, "schedule": "one-cycle"}})["config"]["resize"]
        'stretch'
    """
    if isinstance(document, list):
        return [up_to_date(item) for item in document]
    if not isinstance(document, dict):
        return document
    current = {FORMER_NAMES.get(name, name): up_to_date(value) for name, value in document.items()}
    # Both are in every configuration that was ever written, and together in nothing else.
    return BEFORE | current if {"seed", "schedule"} <= current.keys() else current


def with_current_name(word: str) -> str:
    """Return the present spelling of an option, its dashes left out, that may be a former one.

    Example:
        with_current_name("no-mirror-test") == "no-tta"
    """
    no = "no-" if word.startswith("no-") else ""
    former = word.removeprefix(no).replace("-", "_")
    return no + FORMER_NAMES[former].replace("_", "-") if former in FORMER_NAMES else word


def option(field: str) -> str:
    """Return the command-line spelling of a configuration field."""
    return "--" + field.replace("_", "-")


def options(settings: Mapping[str, Any]) -> list[str]:
    """Return settings as options of `evacli train`.

    Example:
        >>> options({"lr": 0.1, "flip": False, "spatial_dropout": False, "cutout": None})
        ['--lr', '0.1', '--no-flip']
    """
    words: list[str] = []
    for name, value in settings.items():
        setting = SETTINGS[name]
        if setting.kind is bool:
            no = [f"--no-{setting.option[2:]}"] if setting.says.negated and value is False else []
            words += [setting.option] if value else no
        elif value is not None:
            words += [f"{setting.option}={value}"] if str(value).startswith("-") else [setting.option, str(value)]
    return words


def command(run: str, settings: Mapping[str, Any], *, recipe: str | None = None) -> str:
    """Return the command line that trains a run with these settings, over those of a recipe, to copy.

    Example:
        >>> command("runs/best", {"lr": 0.1}, recipe="fast")
        'evacli train --run runs/best --recipe fast --lr 0.1'
    """
    words = [*(["--recipe", recipe] if recipe else []), *options(settings)]
    return " ".join(["evacli train --run", *map(quote, (run, *words))])


def takes_settings(workflow: Function) -> Function:
    """Show every setting in the signature of a workflow, in place of its `**settings`.

    What is shown as default is that of a new run: a setting that is not given comes from the run.
    """
    signature = inspect.signature(workflow)
    own = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    keyword = inspect.Parameter.KEYWORD_ONLY
    settings = [
        inspect.Parameter(s.name, keyword, default=s.default, annotation=s.annotation) for s in SETTINGS.values()
    ]
    workflow.__signature__ = signature.replace(parameters=[*own, *settings])  # type: ignore[attr-defined]
    return workflow


def make(settings: Mapping[str, Any], base: Config | None = None) -> Config:
    """Apply `settings` to `base`, by default to the defaults, and validate every value.

    Raises:
        ConfigError: naming the option, the value and what was expected.
    """
    settings = with_current_names(dict(settings))
    inherited = msgspec.structs.asdict(base or Config())
    values = inherited | {name: _plain(value) for name, value in settings.items()}
    if type(values["image_size"]) is int:
        values["image_size"] = str(values["image_size"])
    for name in BELONGS_TO:
        # What another optimizer or schedule was told does not bind this one.
        if name not in settings and not _belongs(name, values):
            values[name] = None
    if values["weights"] in (None, "none"):
        values |= {name: None for name in FINE_TUNING if name not in settings}
    made = _convert(values)
    _check_together(made)
    return made


def unbound(stored: Config, wanted: Config) -> Config:
    """Drop from `stored` what was chosen for another network or for other images than `wanted` has.

    Which dropout, or which augmentation, then is open again.
    """
    changed = set(differences(stored, wanted))
    return msgspec.structs.replace(stored, **{name: None for name, of in CHOSEN_FOR.items() if changed & set(of)})


def over(base: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Put settings that belong together, such as a recipe's, under those that were given.

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
    """Validate each value in itself, for a moment at which it is not yet known what else the run has stored.

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
    """Refuse values that are right in themselves but not beside the others."""
    values = msgspec.structs.asdict(made)
    for name, (setting, choices) in BELONGS_TO.items():
        if values[name] is not None and not _belongs(name, values):
            raise ConfigError(
                f"{option(name)} {values[name]} means nothing to {option(setting)} {values[setting]}.",
                f"It belongs to {option(setting)} {', '.join(choices)}.",
            )
    _check_ranges(made)
    if made.schedule == "plateau" and made.test_every != 1:
        raise ConfigError(
            f"--test-every {made.test_every} leaves --schedule plateau without the losses that it watches.",
            "Give --test-every 1.",
        )
    if made.optimizer == "lion" and made.beta_1 == 0:
        raise ConfigError(
            "--beta-1 0 leaves --optimizer lion without its average.", "Give more than 0; its own is 0.9."
        )
    _check_pretrained(made)


def _check_pretrained(made: Config) -> None:
    """Refuse weights for a network that has none, and what only belongs to such weights."""
    if made.starts_pretrained and made.model not in _pretrained:
        raise ConfigError(
            f"--weights {paths.shown(str(made.weights))}: --model {paths.on_file(made.model, paths.shown)} takes none.",
            f"Choose --model {', '.join(_pretrained)}.",
        )
    for name in FINE_TUNING:
        if getattr(made, name) is not None and not made.starts_pretrained:
            raise ConfigError(
                f"{option(name)} {getattr(made, name)} means nothing to random weights.",
                "Give --weights imagenet or --weights PATH.",
            )
    if made.views is not None and made.freeze_until == "none":
        raise ConfigError(
            f"--views {made.views} means nothing to --freeze-until none: every epoch changes the images anew.",
            "Leave --views out.",
        )


def _check_ranges(made: Config) -> None:
    """Refuse an end that lies before its beginning."""
    if made.base_lr is not None and made.lr != "auto" and made.base_lr >= made.lr:
        raise ConfigError(f"--base-lr {made.base_lr:g} is not below the peak, {made.lr:g}.", "Exchange them.")
    if made.warmup_epochs is not None and made.warmup_epochs > made.epochs:
        raise ConfigError(
            f"--warmup-epochs {made.warmup_epochs:g} is more than --epochs {made.epochs}.", "Warm up less."
        )
    smallest, largest = made.scales
    if not 0 < smallest <= largest:
        raise ConfigError(f"--scale {made.scale} is no range of shares.", "The first is above 0, the second no less.")
    if made.grow_batch is not None and (made.largest_batch == "full" or made.grow_batch < made.largest_batch):
        raise ConfigError(
            f"--grow-batch {made.grow_batch} is no room to grow for --batch-size {made.largest_batch}.",
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
        unknown = next((name for name in values if name not in SETTINGS), "")
        known = ", ".join(sorted(SETTINGS))
        fix = f"{meant(unknown, SETTINGS)}The settings are: {known}."
        return ConfigError(f"There is no such setting: {reason}.", fix)
    setting = SETTINGS[field]
    fix = meant(values[field], setting.words) + setting.expected
    unspelled = setting.says.spelled and "matching regex" in reason
    problem = "cannot be understood" if unspelled else in_words(reason)
    return ConfigError(f"{setting.option} {short(values[field])}: {problem}.", fix)


def contradictions(stored: Config, wanted: Config, changeable: frozenset[str] = CHANGEABLE) -> str:
    """Return the settings in which two configurations differ and must not, as a person reads them; empty if none.

    Those that are `changeable` may. Two files may build the same network, or have the same weights; whether they do is
    for their fingerprint to say.
    """
    files = {"model"} if paths.is_reference(stored.model) and paths.is_reference(wanted.model) else set()
    files |= {"weights"} if _is_file(stored.weights) and _is_file(wanted.weights) else set()
    differing = [f for f in differences(stored, wanted) if f not in changeable | files]
    return "; ".join(f"{option(f)} {_spelled(wanted, f)} (run: {_spelled(stored, f)})" for f in differing)


def _is_file(weights: str | None) -> bool:
    return weights not in (None, *NAMED_WEIGHTS)


def _spelled(config: Config, field: str) -> object:
    value = getattr(config, field)
    return "default" if value is None else paths.on_file(value, paths.shown) if field == "model" else value


def differences(a: Config, b: Config) -> list[str]:
    """Return the fields in which two configurations differ; two spellings of one path do not."""
    found = [f for f in Config.__struct_fields__ if _meaning(a, f) != _meaning(b, f)]
    return [f for f in found if f != "dataset" or b.data is None]


def _meaning(config: Config, field: str) -> object:
    value = getattr(config, field)
    if field == "data" and value is not None:
        return paths.real(value)
    if field == "weights":
        return paths.real(str(value)) if _is_file(value) else value
    if field == "model" and paths.is_reference(value):
        file, function = paths.split(value)
        return paths.real(str(file)), function
    return value


def data_name(config: Config) -> str:
    """Return what the data of a run is called: the data set, or the last part of the path."""
    return Path(paths.absolute(config.data)).name if config.data is not None else str(config.dataset)
