"""`evacli recipes`."""

from collections.abc import Mapping

import msgspec
from rich.text import Text

from evacli import console, recipes
from evacli.commands.options import JsonOption, QuietOption, configure_output
from evacli.config import option


def recipes_command(json: JsonOption = False, quiet: QuietOption = False) -> None:
    """List the recipes that come with evacli, and what each of them sets.

    Example: evacli recipes
    """
    configure_output(json, quiet)
    found = {name: recipes.read(name) for name in recipes.names()}
    for name, recipe in found.items():
        console.result(Text.assemble((name, "bold"), f"  {recipe.about}"))
        console.result(f"  {_as_options(recipe.settings)}")
    console.json({name: msgspec.to_builtins(recipe) for name, recipe in found.items()})


def _as_options(settings: Mapping[str, object]) -> str:
    return " ".join(_as_option(name, value) for name, value in settings.items())


def _as_option(name: str, value: object) -> str:
    if isinstance(value, bool):
        return option(name) if value else option(f"no_{name}")
    return f"{option(name)} {value}"
