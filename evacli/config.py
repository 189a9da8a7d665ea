"""The validated configuration of a run, to and from JSON.

`None` stands for "decided when the data is known": `resolve` replaces it, so the file in the run directory says what
was really used.
"""

import json
import os
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta

from evacli.errors import ConfigError, Contradiction, RunError
from evacli.run.directory import RunDir, read_small, write_text_atomically
from evacli.wording import in_words

Dataset = Literal["cifar10", "cifar100", "fashion_mnist", "mnist", "digits"]
Schedule = Literal["constant", "step", "exponential", "cosine", "plateau", "cyclical", "one-cycle"]
Precision = Literal["auto", "float32", "bfloat16"]
Count = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Pixels = Annotated[int, Meta(ge=0, le=4096)]
Rate = Annotated[float, Meta(gt=0, le=1e6)]
Share = Annotated[float, Meta(ge=0, lt=1)]


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a run is made with. Pixels, epochs and images are counts; rates are per step."""

    # data
    dataset: Dataset = "cifar10"
    data: str | None = None
    val_split: Share = 0.0
    limit_train: Count | None = None
    limit_test: Count | None = None
    skip_bad: bool = False
    # network
    model: Annotated[str, Meta(min_length=1)] = "eva"
    # augmentation; None: chosen from the size and the kind of the images
    cutout: Pixels | None = None
    crop: Pixels | None = None
    flip: bool | None = None
    # optimisation; lr auto: the suggestion of lr-find, else the default of `train`
    lr: Rate | Literal["auto"] = "auto"
    schedule: Schedule = "one-cycle"
    momentum: Share = 0.9
    weight_decay: Annotated[float, Meta(ge=0, le=1)] = 0.0
    label_smoothing: Share = 0.0
    batch_size: Count = 128
    epochs: Count = 100
    seed: Annotated[int, Meta(ge=0, le=2**31 - 1)] = 0
    precision: Precision = "auto"


# May change between two commands on a trained run: how long it trains, and where the same data lies.
CHANGEABLE = frozenset({"epochs", "dataset", "data", "skip_bad"})


def option(field: str) -> str:
    """The command-line spelling of a configuration field."""
    return "--" + field.replace("_", "-")


def make(settings: Mapping[str, Any], base: Config | None = None) -> Config:
    """`base` (default: the defaults) with `settings` applied; validates every value.

    Raises:
        ConfigError: naming the option, the value and what was expected.
    """
    values = msgspec.structs.asdict(base or Config()) | {name: _plain(value) for name, value in settings.items()}
    try:
        return msgspec.convert(values, Config)
    except msgspec.ValidationError as e:
        raise _config_error(str(e), values) from e


def _plain(value: Any) -> Any:
    # What a notebook has at hand: a Path, a number out of an array.
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return value.item() if hasattr(value, "item") else value


def _config_error(reason: str, values: Mapping[str, Any]) -> ConfigError:
    field = reason.partition(" - at `$.")[2].rstrip("`")
    if field not in values:
        known = ", ".join(sorted(Config.__struct_fields__))
        return ConfigError(f"There is no such setting: {reason}.", f"The settings are: {known}.")
    return ConfigError(f"{option(field)} {values[field]}: {in_words(reason)}.", _choices(field))


def _choices(field: str) -> str:
    if field == "lr":
        return "Give a number or auto."
    choices = get_args({"dataset": Dataset, "schedule": Schedule, "precision": Precision}.get(field))
    return f"Choose one of {', '.join(choices)}." if choices else ""


def read(run: RunDir) -> Config | None:
    """The configuration stored in the run, None where there is none.

    Raises:
        RunError: if the file is not a configuration that this version of evacli understands.
    """
    try:
        # Not msgspec's parser: it refuses the lone surrogates of a path that is no valid UTF-8.
        return msgspec.convert(json.loads(read_small(run.config)), Config)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as e:
        raise RunError(
            f"{run.config} is not an evacli configuration: {e}.",
            "Delete it to start from the defaults, or name another --run.",
        ) from e


def write(run: RunDir, config: Config) -> None:
    """Stores the configuration in the run."""
    write_text_atomically(run.config, json.dumps(msgspec.to_builtins(config), indent=2) + "\n")


def inherit(run: RunDir, settings: Mapping[str, Any], *, trained: bool | None = None) -> Config:
    """The run's configuration with explicit `settings` on top; a trained run accepts no contradiction.

    Args:
        run: the run directory.
        settings: fields of `Config` that were asked for explicitly.
        trained: whether contradictions are refused; None: if the run has a checkpoint.

    Raises:
        Contradiction: showing each setting that differs from what the trained run was made with.
    """
    stored = read(run)
    settings = dict(settings)
    if "dataset" in settings and settings.setdefault("data", None) is not None:
        raise ConfigError(
            f"--dataset {settings['dataset']} and --data {settings['data']} name two data sets.",
            "Leave one of them out.",
        )
    trained = run.checkpoint.exists() if trained is None else trained
    if not (stored and trained):
        return make(settings, stored)
    if settings.get("lr") == "auto":
        del settings["lr"]
    wanted = make(settings, stored)
    differing = contradictions(stored, wanted)
    if differing:
        raise Contradiction(
            f"{run.path} was trained with other settings: {differing}.",
            "Leave the option out, name a new --run, or start anew with --overwrite.",
        )
    return wanted


def contradictions(stored: Config, wanted: Config) -> str:
    """The settings in which two configurations differ and must not, as a person reads them; empty if none."""
    differing = [f for f in differences(stored, wanted) if f not in CHANGEABLE]
    return "; ".join(f"{option(f)} {getattr(wanted, f)} (run: {getattr(stored, f)})" for f in differing)


def differences(a: Config, b: Config) -> list[str]:
    """The fields in which two configurations differ."""
    return [f for f in Config.__struct_fields__ if getattr(a, f) != getattr(b, f)]
