"""sweep.json: what is searched and what all trials share; the same command goes on with it."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec

from evacli import config, network_file, paths
from evacli.config import Config
from evacli.errors import ConfigError, Contradiction, DataError, RunError
from evacli.recipes import implied
from evacli.run import config_file, documents
from evacli.run.directory import RunDir
from evacli.sweeping import search
from evacli.sweeping.files import SweepDir
from evacli.sweeping.search import Space

Prune = Literal["median", "hyperband", "none"]
TRIALS = 20
VAL_SPLIT = 0.1
# May change between two commands on a sweep: where the same data lies.
_CHANGEABLE = frozenset({"dataset", "data", "skip_bad", "memory"})


class Plan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a sweep is made with.

    Attributes:
        search: how what is searched is spelled, by setting.
        settings: those that all trials share.
        trials: how many there are to be; the one thing that may change.
        prune: by what rule a trial that promises nothing is stopped.
    """

    search: dict[str, str]
    settings: dict[str, Any]
    trials: int = TRIALS
    prune: Prune = "median"

    @property
    def space(self) -> Space:
        """What is searched."""
        return search.read(self.search)

    @property
    def config(self) -> Config:
        """What all trials share, with the defaults of what is not said."""
        return config.make(self.settings)

    def of_trial(self, drawn: Mapping[str, Any]) -> dict[str, Any]:
        """Return all settings of a trial.

        Raises:
            ConfigError: if they do not go together.
        """
        settings = config.over(self.settings, drawn)
        config.make(settings)
        return settings

    def on_all_images(self, drawn: Mapping[str, Any]) -> dict[str, Any]:
        """Return all settings for a training that learns from validation images too, and is tested once, at its end.

        A plateau schedule needs them to watch, and what the data itself keeps for validation stays so.
        """
        settings = self.of_trial(drawn)
        made = config.make(settings)
        if made.val_split and made.schedule != "plateau":
            del settings["val_split"]
            settings["test_every"] = made.epochs
        return settings


def settle(
    files: SweepDir,
    asked: str | Mapping[str, Any] | Iterable[str] | None,
    settings: Mapping[str, Any],
    recipe: Mapping[str, Any],
    trials: int | None = None,
    prune: Prune | None = None,
) -> Plan:
    """Return the plan of a sweep, new or as it is stored; one that is there accepts no contradiction.

    Args:
        files: of the sweep.
        asked: what is to be searched; None: as it is stored.
        settings: those that all trials share.
        recipe: what lies under these, and under what is searched.
        trials: how many there are to be.
        prune: by what rule they are stopped.

    Raises:
        ConfigError: if something cannot be searched or used, or is missing for a new sweep.
        Contradiction: showing what differs from what the sweep was begun with.
        DataError: if the data is not there.
        ModelError: if the network is not there.
    """
    if prune not in (None, *get_args(Prune)):
        raise ConfigError(f"--prune {prune}: there is no such choice.", f"Choose one of {', '.join(get_args(Prune))}.")
    space = None if asked is None or asked in ((), []) else search.read(asked)
    stored = _read(files)
    searched = space or (stored.search if stored else {})
    under = {name: value for name, value in recipe.items() if name not in searched}
    given = config_file.from_root(config.over(under, settings))
    plan = _begun(files, space, given, prune) if stored is None else _gone_on(files, stored, space, given, prune)
    plan = msgspec.structs.replace(plan, trials=trials or plan.trials)
    _require(files, plan, named="model" in given or (space is not None and "model" in space))
    if stored is None:
        _try_out(plan)
    return plan


def write(files: SweepDir, plan: Plan) -> None:
    """Store the plan."""
    documents.write(files.plan, plan)


def _read(files: SweepDir) -> Plan | None:
    try:
        return documents.read(files.plan, Plan)
    except FileNotFoundError:
        return None
    except documents.UNREADABLE as e:
        raise RunError(f"{files.plan} is not the plan of a sweep: {e}.", "Name another --sweep.") from e


def _begun(files: SweepDir, space: Space | None, given: Mapping[str, Any], prune: Prune | None) -> Plan:
    if space is None:
        raise ConfigError(f"{files.path} is a new sweep, and nothing is searched.", f"Give --search. {search.EXAMPLE}")
    settings = implied(RunDir(files.path), given)
    for name in space:
        if name in given:
            raise ConfigError(
                f"{config.option(name)} {given[name]} says what --search {name} is to find.", "Leave one of them out."
            )
        settings.pop(name, None)  # a recipe's
    if "val_split" not in settings:
        settings["val_split"] = VAL_SPLIT
        config.make(settings)
    return Plan(search=search.spell(space), settings=settings, prune=prune or "median")


def _gone_on(files: SweepDir, stored: Plan, space: Space | None, given: Mapping[str, Any], prune: Prune | None) -> Plan:
    asked = stored.search if space is None else search.spell(space)
    differing = [
        f"--search {name}={_or_nothing(asked, name)} (sweep: {_or_nothing(stored.search, name)})"
        for name in {**asked, **stored.search}
        if asked.get(name) != stored.search.get(name)
    ]
    if prune not in (None, stored.prune):
        differing.append(f"--prune {prune} (sweep: {stored.prune})")
    wanted = config.make(config.over(stored.settings, given))
    differing += filter(None, [config.contradictions(stored.config, wanted, _CHANGEABLE).replace("(run:", "(sweep:")])
    if differing:
        raise Contradiction(
            f"{files.path} was begun with something else: {'; '.join(differing)}.",
            "Leave the option out, or name a new --sweep.",
        )
    moved = {name: value for name, value in given.items() if name in _CHANGEABLE}
    return msgspec.structs.replace(stored, settings=config.over(stored.settings, moved))


def _or_nothing(spelled: Mapping[str, str], name: str) -> str:
    return spelled.get(name, "nothing")


def _require(files: SweepDir, plan: Plan, *, named: bool) -> None:
    """Refuse what no trial could be trained with, before any is; and a network file that only the folder names."""
    base, models = plan.config, plan.space.get("model")
    if base.data is not None and not Path(base.data).exists():
        raise DataError(f"--data {paths.shown(base.data)}: there is no such file or folder.", "Name where it lies.")
    for model in models.ends if models else [base.model]:
        network_file.allow(str(model), RunDir(files.path), named=named)


def _try_out(plan: Plan) -> None:
    """Refuse a value that does not go with what all trials share, whatever else is drawn."""
    for name, searched in plan.space.items():
        errors = []
        for value in searched.ends:
            try:
                plan.of_trial({name: value})
            except ConfigError as e:
                errors.append(e)
        if len(errors) == len(searched.ends) and name not in config.BELONGS_TO:
            raise errors[0]
