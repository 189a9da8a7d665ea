"""config.json: the settings of a run, which its later commands inherit."""

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from evacli import config, paths
from evacli.config import NAMED_WEIGHTS, Config
from evacli.errors import ConfigError, Contradiction, DataError, RunError
from evacli.run import documents, given_arrays
from evacli.run.directory import RunDir

# How to spell, from the root, the settings that name files.
_PATHS: dict[str, Callable[[str], str]] = {
    "data": paths.absolute,
    "model": lambda model: paths.on_file(model, paths.absolute),
    "weights": lambda weights: weights if weights in NAMED_WEIGHTS else paths.absolute(weights),
}


def read(run: RunDir) -> Config | None:
    """Return the configuration stored in the run, its paths as they lead there now; None where there is none.

    Raises:
        RunError: if the file is not a configuration that this version of evacli understands.
    """
    try:
        return located(run, documents.read(run.config, Config))
    except FileNotFoundError:
        return None
    except documents.UNREADABLE as e:
        raise RunError(
            f"{run.config} is not an evacli configuration: {e}.",
            "Delete it to start from the defaults, or name another --run.",
        ) from e


def located(run: RunDir, stored: Config) -> Config:
    """Return a configuration that the run has stored, with its paths as they lead to the same files now.

    Example:
        >>> located(RunDir("/new/project/runs/a"), Config(data="/old/project/images")).data
        '/new/project/images'
    """
    found = partial(paths.found, beside=run.path)
    data = None if stored.data is None else found(stored.data)
    weights = stored.weights
    if weights is not None and weights not in NAMED_WEIGHTS:
        weights = found(weights)
    return msgspec.structs.replace(stored, data=data, model=paths.on_file(stored.model, found), weights=weights)


def require_data(run: RunDir, stored: Config) -> None:
    """Raise DataError, naming the way out, if the data of a trained run is no longer where the run says."""
    if stored.data is not None and not Path(stored.data).exists():
        raise DataError(
            f"The data of {run.path} is no longer at {paths.shown(stored.data)}.",
            "Say where it lies now with --data PATH; the run will remember.",
        )


def with_data(run: RunDir, moved_to: str | os.PathLike[str]) -> Config:
    """Return the configuration of a trained run whose data lies elsewhere now."""
    return inherit(run, {"data": moved_to}, trained=True)


def write(run: RunDir, made: Config) -> None:
    """Store the configuration in the run."""
    documents.write(run.config, made)


def inherit(run: RunDir, settings: Mapping[str, Any], *, trained: bool | None = None) -> Config:
    """Return the run's configuration with explicit `settings` on top; a trained run accepts no contradiction.

    Args:
        run: the run directory.
        settings: fields of `Config` that were asked for explicitly.
        trained: whether contradictions are refused; None: if the run has a checkpoint.

    Raises:
        Contradiction: showing each setting that differs from what the trained run was made with.
    """
    stored = read(run)
    settings = from_root(given_arrays.kept(run, settings))
    trained = run.has_checkpoint if trained is None else trained
    if stored is None:
        return config.make(settings)
    if not trained:
        return config.make(settings, config.unbound(stored, config.make(settings, stored)))
    for name in "lr", "precision", "freeze_until":
        if settings.get(name) == "auto":  # which is what training has decided
            del settings[name]
    if _within(settings.get("batch_size"), stored.batch_size):
        del settings["batch_size"]
    wanted = config.make(settings, stored)
    differing = config.contradictions(stored, wanted)
    if differing:
        raise Contradiction(
            f"{run.path} was trained with other settings: {differing}.",
            "Leave the option out, name a new --run, or start anew with --overwrite.",
        )
    return wanted


def _within(limit: object, size: int | str) -> bool:
    """Tell whether a batch size is one that training may have decided where this limit was given."""
    largest = config.make({"batch_size": limit}).largest_batch if isinstance(limit, str) else limit
    return largest != limit and isinstance(largest, int) and isinstance(size, int) and size <= largest


def from_root(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings with what names a file spelled such that it means the same in any folder.

    Raises:
        ConfigError: if they name two data sets.
    """
    rooted = {
        name: _PATHS[name](os.fspath(value)) if name in _PATHS and isinstance(value, str | os.PathLike) else value
        for name, value in settings.items()
    }
    if rooted.get("dataset") is not None and rooted.setdefault("data", None) is not None:
        raise ConfigError(
            f"--dataset {rooted['dataset']} and --data {paths.shown(rooted['data'])} name two data sets.",
            "Leave one of them out.",
        )
    return rooted
