"""config.json: the settings of a run, which its later commands inherit."""

from collections.abc import Mapping
from typing import Any

from evacli import config
from evacli.config import Config
from evacli.errors import ConfigError, Contradiction, RunError
from evacli.run import documents
from evacli.run.directory import RunDir


def read(run: RunDir) -> Config | None:
    """The configuration stored in the run, None where there is none.

    Raises:
        RunError: if the file is not a configuration that this version of evacli understands.
    """
    try:
        return documents.read(run.config, Config)
    except FileNotFoundError:
        return None
    except documents.UNREADABLE as e:
        raise RunError(
            f"{run.config} is not an evacli configuration: {e}.",
            "Delete it to start from the defaults, or name another --run.",
        ) from e


def write(run: RunDir, made: Config) -> None:
    """Stores the configuration in the run."""
    documents.write(run.config, made)


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
    if stored is None:
        return config.make(settings)
    if not trained:
        return config.make(settings, config.unbound(stored, config.make(settings, stored)))
    for name in "lr", "precision":
        if settings.get(name) == "auto":  # which is what training has decided
            del settings[name]
    wanted = config.make(settings, stored)
    differing = config.contradictions(stored, wanted)
    if differing:
        raise Contradiction(
            f"{run.path} was trained with other settings: {differing}.",
            "Leave the option out, name a new --run, or start anew with --overwrite.",
        )
    return wanted
