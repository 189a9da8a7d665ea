"""The app: registers the commands and turns errors into one line and an exit code."""

import ast
import inspect
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from textwrap import dedent
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from evacli import console, memory
from evacli.commands.cache import cache_command
from evacli.commands.compare import compare_command
from evacli.commands.evaluate import evaluate_command
from evacli.commands.export import export_command
from evacli.commands.gradcam import gradcam_command
from evacli.commands.labels import labels_command
from evacli.commands.lr_find import lr_find_command
from evacli.commands.predict import predict_command
from evacli.commands.recipes import recipes_command
from evacli.commands.report import report_command
from evacli.commands.runs import runs_command
from evacli.commands.sweep import sweep_command
from evacli.commands.train import train_command
from evacli.config import with_current_name
from evacli.errors import EvacliError, Stopped
from evacli.version import __version__


class OneLineErrors(TyperGroup):
    """Reports every error as one line on stderr; `EVACLI_DEBUG=1` shows the traceback instead."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run the app and leave with its exit code."""
        debug = os.environ.get("EVACLI_DEBUG") == "1"
        extra["standalone_mode"] = False
        try:
            sys.exit(super().main(*args, **extra) or 0)
        except Stopped as e:
            console.stopped(e.message, e.fix)
            sys.exit(e.exit_code)
        except EvacliError as e:
            if debug:
                raise
            console.fail(e.message, e.fix)
            sys.exit(e.exit_code)
        except typer.Abort:
            sys.exit(1)
        except Exception as e:
            if debug:
                raise
            if hasattr(e, "format_message"):
                sys.exit(_complain(e.format_message(), e))
            # A training is not saved here: in the middle of a step, its weights and its count of steps may be of two
            # moments. Its last checkpoint is there.
            console.fail(*_unforeseen(e))
            sys.exit(1)


def _unforeseen(error: Exception) -> tuple[str, str]:
    """Return what to say of an error that nobody raised on purpose, and what to do."""
    kind = type(error).__name__
    if memory.is_short(error):
        return "There is not enough memory for this.", memory.MORE
    said = next(filter(None, map(str.strip, str(error).splitlines())), "")
    return (
        f"evacli met something unforeseen: {kind}{f': {said}' if said else ''}".rstrip(".") + ".",
        "That is a fault of evacli; please report it with the output of EVACLI_DEBUG=1.",
    )


def _complain(message: str, error: Any) -> int:
    """Report Typer's own complaint about a command line: an unknown option, a value of the wrong type."""
    if not message:  # no command was given and the help has just been printed
        return 0
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "evacli"
    console.fail(message if message.endswith("?") else message.rstrip(".") + ".", f"See: {command} --help")
    return int(getattr(error, "exit_code", 2))


app = typer.Typer(
    name="evacli",
    cls=OneLineErrors,
    rich_markup_mode="rich",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "token_normalize_func": with_current_name},
)


def docstring(function: Callable[..., Any]) -> str | None:
    """Return what is the help of a command: a docstring, also under `python -OO`, which leaves it in the source alone.

    Example:
        app.command("runs", help=docstring(runs_command))(runs_command)
    """
    if function.__doc__:
        return inspect.getdoc(function)
    with suppress(OSError):  # there is no source
        (definition,) = ast.parse(dedent(inspect.getsource(function))).body
        return ast.get_docstring(definition)  # type: ignore[arg-type]
    return None


def _show_version(value: bool) -> None:
    if value:
        console.result(f"evacli {__version__}")
        raise typer.Exit


def evacli(
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Train an image classifier and see why it errs.

    One run, one command at a time: evacli lr-find, evacli train, evacli report, evacli gradcam.
    """


app.callback(help=docstring(evacli))(evacli)
COMMANDS: dict[str, Callable[..., None]] = {
    "lr-find": lr_find_command,
    "train": train_command,
    "report": report_command,
    "gradcam": gradcam_command,
    "labels": labels_command,
    "predict": predict_command,
    "evaluate": evaluate_command,
    "export": export_command,
    "compare": compare_command,
    "sweep": sweep_command,
    "runs": runs_command,
    "recipes": recipes_command,
    "cache": cache_command,
}
for name, command in COMMANDS.items():
    app.command(name, help=docstring(command))(command)
