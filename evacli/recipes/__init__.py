"""Recipes: settings that belong together, as TOML files. Those that come with evacli lie beside this module."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from evacli import config, network_file, paths
from evacli.errors import ConfigError
from evacli.messages import in_words, meant
from evacli.run import config_file
from evacli.run.directory import RunDir, read_small

_OURS = Path(__file__).parent
_SHAPE = 'A recipe is a line about = "..." and a table [settings] of options without their dashes.'


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a recipe's file says.

    Attributes:
        about: what it is for, in a sentence.
        settings: fields of `evacli.config.Config`.
    """

    about: str
    settings: dict[str, Any]


def names() -> list[str]:
    """Of the recipes that come with evacli."""
    return sorted(path.stem for path in _OURS.glob("*.toml"))


def read(name: str) -> Recipe:
    """Return the recipe of this name, in this `.toml` file, or what this run was made with; its settings are valid.

    Raises:
        ConfigError: if there is none, or if it is not a recipe. A recipe cannot name a network in a Python file, which
            would run the code of whoever wrote it.
        RunError: if the configuration of the run is not one.
        ModelError: if a run names a network in a Python file, and this user has never done so.
    """
    if name not in names() and Path(name).is_dir() and (run := RunDir(name)).config.is_file():
        return _of_run(run)
    path = Path(name) if name.endswith(".toml") else _OURS / f"{name}.toml"
    if path.parent == _OURS and name not in names():
        raise ConfigError(
            f"--recipe {name}: there is no such recipe.",
            f"{meant(name, names())}Give {', '.join(names())}, a .toml file or a run directory.",
        )
    try:
        recipe = msgspec.toml.decode(read_small(path), type=Recipe)
    except (OSError, ValueError, RecursionError) as e:
        raise ConfigError(f"--recipe {path} cannot be used: {_reason(e)}.", _SHAPE) from e
    try:
        config.make(recipe.settings)
    except ConfigError as e:
        raise ConfigError(f"--recipe {path}: {e.message}", e.fix) from e
    if paths.is_reference(str(recipe.settings.get("model", ""))):
        raise ConfigError(
            f"--recipe {path} names a network in a Python file.", "Leave it out there, and give it as --model."
        )
    return msgspec.structs.replace(recipe, settings=config.with_current_names(recipe.settings))


def recipe(name: str) -> dict[str, Any]:
    """Return the settings of a recipe, for `evacli.lr_find` and `evacli.train`.

    Args:
        name: of a recipe that comes with evacli, or the path of a `.toml` file or of a run.

    Raises:
        ConfigError: see `read`.

    Example:
        train("runs/first", dataset="digits", **recipe("fast"))
    """
    return read(name).settings


def with_recipe(name: str | None, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Put the settings of a recipe, if one is named, under those that are given."""
    return dict(settings) if name is None else config.over(recipe(name), settings)


def _of_run(run: RunDir) -> Recipe:
    made = config_file.read(run)
    assert made is not None
    network_file.allow(made.model, run, named=False)
    settings = {name: value for name, value in msgspec.structs.asdict(made).items() if value is not None}
    return Recipe(f"What {run.path} was made with.", settings)


def implied(run: RunDir, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Put the recipe for fine-tuning under settings that give a run weights to start from, where it had none.

    Example:
        >>> implied(RunDir("runs/new"), {"weights": "imagenet"})["optimizer"]
        'adamw'
    """
    if settings.get("weights") in (None, "none") or ((before := config_file.read(run)) and before.starts_pretrained):
        return dict(settings)
    return config.over(recipe("finetune"), settings)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return in_words(str(error)) if isinstance(error, msgspec.ValidationError) else str(error).rstrip(".")
