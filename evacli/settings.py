"""What a setting says of itself beside its type and its default, and what follows from all three.

A field of the configuration is written once, as `name: Annotated[type, Setting(panel, help)] = default`. Its option and
the help on it, what a shell completes and the signatures of the workflows are read off that line.
"""

import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import UnionType
from typing import Any, Literal, get_args, get_origin

import msgspec


@dataclass(frozen=True)
class Setting:
    """What a field says of itself.

    Attributes:
        panel: the group that it is shown in.
        help: what it is, in a sentence; `{names}` stands for its choices.
        default: in words, what is done where it is None; or more on the default that it has.
        metavar: what stands for its value; a letter, if empty.
        known: names that it takes beside others, as a network's beside the path of one's own, and what each is.
        spelled: what to give, where its words follow a pattern.
        negated: whether its option has a --no- form, for what a recipe or training itself may switch on.
    """

    panel: str
    help: str
    default: str = ""
    metavar: str = ""
    known: Mapping[str, str] = field(default_factory=dict)
    spelled: str = ""
    negated: bool = False


@dataclass(frozen=True)
class Described:
    """A field with everything that it says.

    Attributes:
        name: of the field.
        annotation: its type without ranges.
        default: its value in a new run.
        says: what it says of itself.
    """

    name: str
    annotation: Any
    default: Any
    says: Setting

    @property
    def option(self) -> str:
        """Its spelling on the command line."""
        return "--" + self.name.replace("_", "-")

    @property
    def spelling(self) -> str:
        """Its option with the --no- form that it may have."""
        return f"{self.option}/--no-{self.option[2:]}" if self.says.negated else self.option

    @property
    def kind(self) -> type[bool | int | float | str]:
        """The type that its value has on the command line."""
        return next(kind for kind in (bool, int, float, str) if kind in self._members or kind is str)

    @property
    def words(self) -> tuple[str, ...]:
        """The words that it takes; beside a number, if its kind is one."""
        literals = [member for member in self._members if get_origin(member) is Literal]
        return tuple(word for literal in literals for word in get_args(literal))

    @property
    def names(self) -> Mapping[str, str]:
        """What a shell offers for it: names, and what each is where that is said."""
        return dict.fromkeys(self.words, "") or self.says.known

    @property
    def metavar(self) -> str:
        """What stands for its value in the help; short, since it takes room from what the help says."""
        return self.says.metavar or {bool: "", int: "N", float: "X", str: "NAME"}[self.kind]

    @property
    def help(self) -> str:
        """Its help text, in rich's markup, with its default in brackets."""
        text = self.says.help.format(names=", ".join(self.names))
        value = f"{self.default:g}" if isinstance(self.default, float) else str(self.default)
        open_or_off = self.default is None or self.default is False
        default = ", ".join(filter(None, ("" if open_or_off else value, self.says.default)))
        return f"{text} [dim]({default})[/]" if default else text

    @property
    def expected(self) -> str:
        """What to give, as a sentence; empty where the complaint about the value says it."""
        if self.says.spelled:
            return f"Give {self.says.spelled}."
        if not self.words:
            return ""
        if self.kind is str:
            return f"Choose one of {', '.join(self.words)}."
        *most, last = "a number", *self.words
        return f"Give {', '.join(most)} or {last}."

    @property
    def _members(self) -> tuple[Any, ...]:
        """The types of which one has to fit."""
        union = get_origin(self.annotation) in (typing.Union, UnionType)
        return get_args(self.annotation) if union else (self.annotation,)


def described(struct: type[msgspec.Struct]) -> dict[str, Described]:
    """Return what the fields of a configuration say, by name."""
    plain = typing.get_type_hints(struct)
    said = typing.get_type_hints(struct, include_extras=True)
    return {
        each.name: Described(
            each.name,
            plain[each.name],
            each.default,
            next(extra for extra in said[each.name].__metadata__ if isinstance(extra, Setting)),
        )
        for each in msgspec.structs.fields(struct)
    }
