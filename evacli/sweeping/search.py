"""What a sweep searches: a range or some choices for each of several settings, and how that is spelled.

`lr=1e-3..1e-1:log,optimizer=sgdw|adamw,flip=yes|no`, or the same as a TOML file with a table `[search]`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import msgspec

from evacli import config
from evacli.config import BELONGS_TO, FINE_TUNING, FORMER_NAMES, SETTINGS, Config
from evacli.errors import ConfigError
from evacli.formats import spelled
from evacli.messages import meant, short
from evacli.paths import is_reference
from evacli.run.directory import read_small
from evacli.settings import Described

EXAMPLE = "Spell it like lr=1e-3..1e-1:log,cutout=0..16,optimizer=sgdw|adamw."
_SHAPE = 'A search file is a table [search] of lines like lr = "1e-3..1e-1:log" or optimizer = ["sgdw", "adamw"].'
_DIGITS = 4  # of what is drawn: more would say nothing about a setting, and make command lines long
# With these, trials would not be judged by the same images, or not be as long as each other.
FIXED = frozenset(
    [
        "dataset",
        "data",
        "test_split",
        "val_split",
        "limit_train",
        "limit_test",
        "memory",
        "skip_bad",
        "class_order",
        "weights",
        "epochs",
        "test_every",
        "seed",
    ]
)


class Drawing(Protocol):
    """What a value is drawn from: a trial of Optuna's."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool) -> float:
        """Draw a number."""

    def suggest_int(self, name: str, low: int, high: int, *, log: bool) -> int:
        """Draw a whole number."""

    def suggest_categorical(self, name: str, choices: tuple[Any, ...]) -> Any:
        """Draw one of several values."""


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included; `log`: as many below ten times the lowest as above, and so on."""

    low: float
    high: float
    log: bool = False

    def __str__(self) -> str:
        return f"{self.low!r}..{self.high!r}{':log' * self.log}"

    @property
    def ends(self) -> tuple[Any, ...]:
        """Values that have to be possible for the others to be."""
        return self.low, self.high

    def draw(self, name: str, trial: Drawing) -> float:
        """Draw a number; whole ones where both ends are."""
        if isinstance(self.low, int) and isinstance(self.high, int):
            return trial.suggest_int(name, self.low, self.high, log=self.log)
        return self.rounded(trial.suggest_float(name, self.low, self.high, log=self.log))

    def rounded(self, value: float) -> float:
        """Return a number as it is drawn: short, and inside."""
        return min(max(float(f"{value:.{_DIGITS}g}"), self.low), self.high)


@dataclass(frozen=True)
class Choices:
    """Some values."""

    values: tuple[Any, ...]

    def __str__(self) -> str:
        return "|".join(str(spelled(value)) for value in self.values)

    @property
    def ends(self) -> tuple[Any, ...]:
        """All of them have to be possible."""
        return self.values

    def draw(self, name: str, trial: Drawing) -> Any:
        """Draw one."""
        return trial.suggest_categorical(name, self.values)


Space: TypeAlias = Mapping[str, Range | Choices]


def read(given: str | Mapping[str, Any] | Iterable[str]) -> Space:
    """Return what is to be searched, valid in itself.

    Args:
        given: as on the command line, or the path of a `.toml` file, or several of both; or a dictionary of what stands
            for each setting, texts or lists.

    Raises:
        ConfigError: naming what cannot be understood or what there is not, and what was expected.

    Example:
        >>> read("lr=1e-3..0.1:log,optimizer=sgdw|adamw")
        {'lr': Range(low=0.001, high=0.1, log=True), 'optimizer': Choices(values=('sgdw', 'adamw'))}
    """
    space: dict[str, Range | Choices] = {}
    for name, value in _named(given):
        setting = _setting(name)
        if setting.name in space:
            raise ConfigError(f"--search names {setting.name} twice.", "Name it once.")
        space[setting.name] = searched = _understood(setting, value)
        for end in searched.ends:
            config.check({setting.name: end})
    if not space:
        raise ConfigError("--search names no setting.", EXAMPLE)
    return space


def spell(space: Space) -> dict[str, str]:
    """Return how each setting's search is spelled; `read` takes it back.

    Example:
        >>> spell({"flip": Choices((True, False))})
        {'flip': 'yes|no'}
    """
    return {name: str(searched) for name, searched in space.items()}


def draw(space: Space, settings: Mapping[str, Any], trial: Drawing) -> dict[str, Any]:
    """Draw the settings of a trial: those that mean something beside the others.

    Args:
        space: what is searched.
        settings: those that all trials share.
        trial: what to draw from.

    Example:
        With optimizer=sgdw|adam,momentum=0.8..0.99 no trial with adam has a momentum.
    """
    drawn: dict[str, Any] = {}
    for name in sorted(space, key=lambda name: name in BELONGS_TO):
        if _means_something(name, settings, drawn):
            drawn[name] = space[name].draw(name, trial)
    return {name: drawn[name] for name in space if name in drawn}


def _means_something(name: str, settings: Mapping[str, Any], drawn: Mapping[str, Any]) -> bool:
    if name in FINE_TUNING:
        return settings.get("weights") not in (None, "none")
    setting, choices = BELONGS_TO.get(name, ("", ()))
    return not setting or {setting: getattr(Config(), setting), **settings, **drawn}[setting] in choices


def _named(given: str | Mapping[str, Any] | Iterable[str]) -> Iterator[tuple[str, Any]]:
    if isinstance(given, Mapping):
        yield from given.items()
        return
    for text in [given] if isinstance(given, str) else given:
        if text.endswith(".toml") and "=" not in text:
            yield from _file(Path(text)).items()
            continue
        for part in filter(None, map(str.strip, text.split(","))):
            name, equals, value = part.partition("=")
            if not equals:
                raise ConfigError(f"--search {short(part)}: it says not what of.", EXAMPLE)
            yield name, value


def _file(path: Path) -> dict[str, Any]:
    try:
        found = msgspec.toml.decode(read_small(path))["search"]
        if not isinstance(found, dict):
            raise ValueError("[search] is not a table")
        if any(is_reference(str(model)) for model in _listed(found.get("model", []))):
            raise ValueError("it names a network in a Python file, which only the command line may")
    except KeyError as e:
        raise ConfigError(f"--search {path} has no table [search].", _SHAPE) from e
    except (OSError, ValueError, RecursionError) as e:
        reason = getattr(e, "strerror", None) or str(e).rstrip(".")
        raise ConfigError(f"--search {path} cannot be used: {reason}.", _SHAPE) from e
    return found


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else str(value).split("|")


def _setting(spelling: str) -> Described:
    plain = spelling.strip().removeprefix("--").replace("-", "_")
    name = FORMER_NAMES.get(plain, plain)
    possible = [name for name in SETTINGS if name not in FIXED]
    if name in FIXED:
        raise ConfigError(
            f"--search {name}: trials with other values of it cannot be compared.",
            f"Give one as {config.option(name)}.",
        )
    if name not in SETTINGS:
        fix = f"{meant(name, possible)}What can be searched: {', '.join(sorted(possible))}."
        raise ConfigError(f"--search {short(name)}: there is no such setting.", fix)
    return SETTINGS[name]


def _understood(setting: Described, value: Any) -> Range | Choices:
    if isinstance(value, list | tuple):
        return _choices(setting, [item if isinstance(item, str) else str(spelled(item)) for item in value])
    text = str(value).strip()
    low, dots, rest = text.partition("..")
    if not dots:
        return _choices(setting, text.split("|"))
    high, _, scale = rest.partition(":")
    return _range(setting, text, (low, high), scale)


def _choices(setting: Described, texts: Iterable[str]) -> Choices:
    values = tuple(dict.fromkeys(_value(setting, text.strip()) for text in texts))
    if any("|" in str(value) or "," in str(value) for value in values):
        raise ConfigError(f"--search {setting.name}: {Choices(values)} has a | or comma in a value.", EXAMPLE)
    if len(values) < 2:
        given = f"{setting.option} {values[0]}" if values and values[0] != "" else setting.option
        raise ConfigError(f"--search {setting.name}: that is no choice.", f"Name more values, or give {given}.")
    return Choices(values)


def _range(setting: Described, text: str, ends: tuple[str, str], scale: str) -> Range:
    where = f"--search {setting.name}={short(text)}"
    if setting.kind not in (int, float):
        raise ConfigError(f"{where}: it is not a number.", f"Name values with | between. {setting.expected}".rstrip())
    values = [_value(setting, end.strip()) for end in ends]
    if any(isinstance(value, str) for value in values):
        raise ConfigError(f"{where}: its ends must be {'whole ' * (setting.kind is int)}numbers.", EXAMPLE)
    if scale not in ("", "log"):
        raise ConfigError(f"{where}: there is no scale {short(scale)}.", "Write :log, or nothing.")
    low, high = values
    if low >= high:
        raise ConfigError(f"{where}: its beginning is not below its end.", "Exchange them.")
    if scale and low <= 0:
        raise ConfigError(f"{where}: a logarithm has no 0 to begin at.", f"Begin at {high / 1000:g}, or without :log.")
    return Range(low, high, bool(scale))


def _value(setting: Described, text: str) -> Any:
    """Return what a text means for a setting; as it is, for the configuration to judge, where it means no number."""
    if text in setting.words:
        return text
    if setting.kind is bool:
        return {"yes": True, "true": True, "no": False, "false": False}.get(text.lower(), text)
    try:
        return setting.kind(text)
    except ValueError:
        return text
