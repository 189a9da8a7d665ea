"""The app: registers the commands and turns errors into one line and an exit code."""

import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from evacli import console
from evacli.commands.compare import compare_command
from evacli.commands.gradcam import gradcam_command
from evacli.commands.lr_find import lr_find_command
from evacli.commands.recipes import recipes_command
from evacli.commands.report import report_command
from evacli.commands.runs import runs_command
from evacli.commands.train import train_command
from evacli.config import with_current_name
from evacli.errors import EvacliError, Stopped
from evacli.version import __version__


class OneLineErrors(TyperGroup):
    """Reports every error as one line on stderr; `EVACLI_DEBUG=1` shows the traceback instead."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Runs the app and leaves with its exit code."""
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
            if debug or not hasattr(e, "format_message"):
                raise
            _complain(e.format_message(), getattr(e, "ctx", None))
            sys.exit(getattr(e, "exit_code", 2))


def _complain(message: str, context: Any) -> None:
    """Reports Typer's own complaint about a command line: an unknown option, a value of the wrong type."""
    if message:  # there is none when no command was given and the help has just been printed
        command = context.command_path if context is not None else "evacli"
        console.fail(message if message.endswith("?") else message.rstrip(".") + ".", f"See: {command} --help")


app = typer.Typer(
    name="evacli",
    cls=OneLineErrors,
    rich_markup_mode="rich",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "token_normalize_func": with_current_name},
)


def _show_version(value: bool) -> None:
    if value:
        console.result(f"evacli {__version__}")
        raise typer.Exit


@app.callback()
def evacli(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Train an image classifier and see why it errs.

    One run, one command at a time: evacli lr-find, evacli train, evacli report, evacli gradcam.
    """


app.command("lr-find")(lr_find_command)
app.command("train")(train_command)
app.command("report")(report_command)
app.command("gradcam")(gradcam_command)
app.command("compare")(compare_command)
app.command("runs")(runs_command)
app.command("recipes")(recipes_command)
