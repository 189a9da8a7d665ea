"""The options that commands share, each defined once.

Every field of the configuration is an option of the commands that take `with_settings`; an option that is not given
leaves the run's stored value alone.
"""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from typer import BadParameter, Option

from evacli import console, recipes
from evacli.config import SETTINGS, check
from evacli.devices import Device
from evacli.explaining.options import Method
from evacli.run.directory import DEFAULT_RUN
from evacli.settings import Described

RunOption = Annotated[Path, Option("--run", help="Directory of the run.", metavar="PATH")]
MovedOption = Annotated[
    Path | None, Option("--data", help="Where the run's data lies now; the run remembers.", metavar="PATH")
]
LayerOption = Annotated[
    str | None, Option("--layer", help="Whose maps are used. [dim](the last on every path)[/]", metavar="NAME")
]
MethodOption = Annotated[
    Method, Option("--method", help="What makes the maps; occlusion covers the image, others explain a layer.")
]
DeviceOption = Annotated[Device, Option("--device", help="What computes: auto, cpu or gpu.", metavar="NAME")]
JsonOption = Annotated[bool, Option("--json", help="Print the result as JSON alone.", metavar="")]
QuietOption = Annotated[bool, Option("--quiet", "-q", help="Print results and problems only.", metavar="")]

RecipeOption = Annotated[
    str | None,
    Option(
        "--recipe",
        help="Settings from evacli recipes, your .toml, or a run.",
        metavar="NAME",
        autocompletion=recipes.names,
        show_default=False,
    ),
]

RUN = DEFAULT_RUN


def _offering(names: Mapping[str, str]) -> Callable[[], list[tuple[str, str]]]:
    return lambda: list(names.items())


def _number_or(words: Sequence[str], number: Callable[[str], Any]) -> Callable[[str], float | str]:
    """Return a parser of numbers and words; which patterns of words there are, the configuration checks."""

    def parse(text: str) -> float | str:
        try:
            return text if text in words else number(text)
        except ValueError:
            if not words:
                return text
            raise BadParameter(f"'{text}' is neither a number nor {' or '.join(words)}.") from None

    return parse


def _option(setting: Described) -> Any:
    extra: dict[str, Any] = {"autocompletion": _offering(setting.names)} if setting.names else {}
    if (setting.words or setting.says.spelled) and setting.kind is not str:
        extra["parser"] = _number_or(setting.words, setting.kind)
    return Annotated[
        setting.kind | None,
        Option(
            setting.spelling,
            help=setting.help,
            rich_help_panel=setting.says.panel,
            metavar=setting.metavar,
            show_default=False,
            **extra,
        ),
    ]


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command every setting as an option, and recipes.

    It receives those that were given as dict `settings`, and those of the recipe as dict `recipe`.
    """
    own = [p for p in inspect.signature(command).parameters.values() if p.name not in ("settings", "recipe")]

    @functools.wraps(command)
    def run(**arguments: Any) -> None:
        settings = {name: arguments.pop(name) for name in SETTINGS}
        given = {name: value for name, value in settings.items() if value is not None}
        check(given)  # A mistyped option is refused before the seconds that TensorFlow takes to start.
        recipe = arguments.pop("recipe")
        command(**arguments, settings=given, recipe={} if recipe is None else recipes.recipe(recipe))

    keyword = inspect.Parameter.KEYWORD_ONLY
    options = [inspect.Parameter(n, keyword, default=None, annotation=_option(s)) for n, s in SETTINGS.items()]
    recipe = inspect.Parameter("recipe", keyword, default=None, annotation=RecipeOption)
    parameters = [*(p.replace(kind=keyword) for p in own), recipe, *options]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    return run


def configure_output(json: bool, quiet: bool) -> None:
    """Apply `--json` and `--quiet`."""
    console.configure(json=json, quiet=quiet)
