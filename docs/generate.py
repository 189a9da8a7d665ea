"""What the pages quote of the program: `make renew` writes it between their marks, and a test holds them to it."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import typer
from rich.text import Text

import evacli
from evacli import cli
from evacli.config import SETTINGS

COMMANDS = typer.main.get_command(cli.app).commands
# Each takes the settings too; `train` shows them for all.
LIKE_TRAIN = "lr-find", "sweep"
_PLACES = {float: "X", int: "N", Path: "PATH"}


def options() -> str:
    """Return a section for each command, with a table for each group of its options."""
    return "\n".join(line for name, command in COMMANDS.items() for line in _command(name, command))


def functions() -> str:
    """Return a section for each function of the package, from its signature and docstring."""
    names = (name for name in evacli.__all__ if name != "__version__")
    return "\n".join(line for name in names for line in _function(name, getattr(evacli, name)))


def _command(name: str, command: Any) -> Iterator[str]:
    about, _, example = Text.from_markup(command.help).plain.partition("Example: ")
    yield from (f"## evacli {name}\n", about.strip(), "", f"```\n{example.strip()}\n```\n")
    panels: dict[str, list[Any]] = {}
    for option in command.params:
        if name not in LIKE_TRAIN or option.name not in SETTINGS:
            panels.setdefault(_panel(option), []).append(option)
    for panel, members in panels.items():
        yield from (f"| {panel} | |", "| --- | --- |", *map(_row, members), "")
    if name in LIKE_TRAIN:
        yield "All settings of [evacli train](#evacli-train) are options too.\n"


def _panel(option: Any) -> str:
    if option.param_type_name == "argument":
        return "What it takes"
    return getattr(option, "rich_help_panel", None) or "Options"


def _row(option: Any) -> str:
    spelled = ", ".join(f"`{each}`" for each in _spellings(option))
    return "| {} | {} |".format(*(cell.replace("|", r"\|") for cell in (spelled, _says(option))))


def _spellings(option: Any) -> list[str]:
    if option.param_type_name == "argument":
        return [option.metavar or option.name.upper()]
    first, *others = *option.opts, *option.secondary_opts
    return [first if option.is_flag else f"{first} {option.metavar or _PLACES.get(_kind(option), 'NAME')}", *others]


def _kind(option: Any) -> Any:
    annotation = option.type_descriptor.annotation
    return next((kind for kind in (annotation, *get_args(annotation)) if kind in _PLACES), str)


def _says(option: Any) -> str:
    says = Text.from_markup(option.help).plain
    names = [name for name in get_args(option.type_descriptor.annotation) if isinstance(name, str)]
    if not all(name in says for name in names):
        says += f" One of {', '.join(names)}."
    if option.required:
        return f"{says} (required)"
    default = option.default
    if not option.show_default or default is None or default is False:
        return says
    return f"{says} ({'yes' if default is True else f'{default:g}' if isinstance(default, float) else default})"


def _function(name: str, function: Any) -> Iterator[str]:
    parameters = inspect.signature(function).parameters
    settings = set(SETTINGS) if {"lr", "epochs"} <= set(parameters) else set()
    own = [p.replace(annotation=p.empty) for p in parameters.values() if p.name not in settings]
    text = re.sub(r"PosixPath\((.*?)\)", r"\1", str(inspect.Signature(own)))
    yield f"## evacli.{name}\n"
    yield f"```\nevacli.{name}{text[:-1]}{', **settings)' if settings else ')'}\n```\n"
    yield from _markdown(inspect.getdoc(function) or "")


def _markdown(docstring: str) -> Iterator[str]:
    """Turn a docstring as Google has them into Markdown."""
    about, *sections = re.split(r"^(Args|Returns|Raises|Example):\n", docstring, flags=re.MULTILINE)
    yield f"{about.strip()}\n"
    for title, body in zip(sections[::2], sections[1::2], strict=True):
        lines = inspect.cleandoc(body)
        if title == "Example":
            yield f"```pycon\n{lines}\n```\n" if ">>>" in lines else f"```python\n{lines}\n```\n"
        elif title == "Returns":
            yield f"**Returns:** {lines}\n"
        else:
            yield f"**{'Arguments' if title == 'Args' else title}:**\n"
            yield re.sub(r"^(\w+):", r"- `\1`:", re.sub(r"^    ", "  ", lines, flags=re.M), flags=re.M) + "\n"
