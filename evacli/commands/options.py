"""The options that commands share, each defined once.

Every field of the configuration is an option of the commands that take `with_settings`; an option that is not given
leaves the run's stored value alone.
"""

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_args

from typer import BadParameter, Option

from evacli import console, recipes
from evacli.catalogue import optimizers
from evacli.config import Cycle, Dataset, Precision, Schedule, check
from evacli.run.directory import DEFAULT_RUN

RunOption = Annotated[Path, Option("--run", help="Directory that the commands of one run share.")]
JsonOption = Annotated[bool, Option("--json", help="Print the result as JSON, and nothing else, on stdout.")]
QuietOption = Annotated[bool, Option("--quiet", "-q", help="Print results and problems only.")]

RecipeOption = Annotated[
    str | None,
    Option(
        "--recipe",
        help="Settings that belong together: a name that evacli recipes lists, or your own .toml; options override it.",
        show_default=False,
    ),
]

RUN = DEFAULT_RUN


def _names(literal: Any) -> str:
    return ", ".join(get_args(literal))


def _keyword_or(number: Callable[[str], float], *keywords: str) -> Callable[[str], float | str]:
    def parse(text: str) -> float | str:
        try:
            return text if text in keywords else number(text)
        except ValueError:
            raise BadParameter(f"'{text}' is neither a number nor {' or '.join(keywords)}.") from None

    return parse


def _setting(type_: Any, panel: str, help_: str, *names: str, **extra: Any) -> Any:
    return Annotated[type_ | None, Option(*names, help=help_, rich_help_panel=panel, show_default=False, **extra)]


_DATA, _NETWORK, _AUGMENTATION = "Data", "Network", "Augmentation"
_OPTIMISATION, SCHEDULE = "Optimisation", "Schedule"

SETTINGS: dict[str, Any] = {
    "dataset": _setting(str, _DATA, f"Built-in data set: {_names(Dataset)}. [dim]default: cifar10[/]"),
    "data": _setting(
        str, _DATA, "Your own data: CIFAR batches (folder or .tar.gz), an .npz, or a folder of images train/CLASS/*."
    ),
    "val_split": _setting(float, _DATA, "Share of the training images kept for choosing the best epoch, e.g. 0.1."),
    "limit_train": _setting(int, _DATA, "Use only N training images.", metavar="N"),
    "limit_test": _setting(int, _DATA, "Use only N test images.", metavar="N"),
    "skip_bad": _setting(bool, _DATA, "Go on without image files that cannot be read.", "--skip-bad"),
    "model": _setting(
        str,
        _NETWORK,
        "eva, resnet9, resnet20, airbench, airbench_small, or your own path/to/file.py:build. [dim]default: eva[/]",
    ),
    "dropout": _setting(
        str,
        _NETWORK,
        "One rate for all its dropout layers, or their own. [dim]default: eva none, others own[/]",
        parser=_keyword_or(float, "none", "own"),
        metavar="RATE|own|none",
    ),
    "spatial_dropout": _setting(bool, _NETWORK, "Drop whole feature maps instead of pixels.", "--spatial-dropout"),
    "input_noise": _setting(
        float, _NETWORK, "Gaussian noise on the normalised pixels: its standard deviation. [dim]default: 0[/]"
    ),
    "tta": _setting(
        bool,
        _DATA,
        "Evaluate images together with their mirror images, if --flip trains on such.",
        "--tta/--no-tta",
        "--mirror-test/--no-mirror-test",
    ),
    "test_every": _setting(
        int, _DATA, "Test after every N-th epoch and after the last. [dim]default: 1[/]", metavar="N"
    ),
    "precision": _setting(str, _NETWORK, f"{_names(Precision)}. [dim]default: auto, whichever is faster here[/]"),
    "cutout": _setting(
        int, _AUGMENTATION, "Side of the erased square in pixels, 0: off. [dim]default: half the image[/]"
    ),
    "crop": _setting(
        int, _AUGMENTATION, "Pad by this many pixels, then crop at random; 0: off. [dim]default: 1/8 of the image[/]"
    ),
    "crop_border": _setting(
        str, _AUGMENTATION, "What the padding shows: mean (the mean colour) or reflect. [dim]default: mean[/]"
    ),
    "flip": _setting(
        bool,
        _AUGMENTATION,
        "Mirror each image in every other epoch. [dim]default: yes, but not for digits[/]",
        "--flip/--no-flip",
    ),
    "optimizer": _setting(str, _OPTIMISATION, f"{_names(optimizers.Name)}. [dim]default: sgdw[/]"),
    "lr": _setting(
        str,
        _OPTIMISATION,
        "Peak learning rate; auto: what lr-find suggested. [dim]default: auto[/]",
        parser=_keyword_or(float, "auto"),
        metavar="RATE|auto",
    ),
    "momentum": _setting(float, _OPTIMISATION, "Of momentum, nesterov, sgdw (0.9), muon (0.95), rmsprop (0)."),
    "beta_1": _setting(float, _OPTIMISATION, "Of adam, adamw, lion: memory for gradients. [dim]default: 0.9[/]"),
    "beta_2": _setting(
        float, _OPTIMISATION, "Of adam, adamw (0.999): memory for their squares; of lion (0.99): its momentum."
    ),
    "rho": _setting(float, _OPTIMISATION, "Of adadelta (0.95), rmsprop (0.9): memory for squared gradients."),
    "epsilon": _setting(float, _OPTIMISATION, "What an adaptive method adds to a divisor. [dim]default: 1e-07[/]"),
    "weight_decay": _setting(
        float,
        _OPTIMISATION,
        "Decoupled decay, beside the network's own L2. [dim]default: 0; sgdw 0.02, adamw, muon, lion 0.01[/]",
    ),
    "gradient_noise": _setting(
        float,
        _OPTIMISATION,
        "Noise on the gradients, of variance ETA / (1 + step)^0.55. [dim]default: 0[/]",
        metavar="ETA",
    ),
    "label_smoothing": _setting(
        float, _OPTIMISATION, "Share of the target spread over all classes. [dim]default: 0[/]"
    ),
    "batch_size": _setting(
        str,
        _OPTIMISATION,
        "Images in a step; full: all of them, a part at a time. [dim]default: 128[/]",
        parser=_keyword_or(int, "full"),
        metavar="N|full",
    ),
    "epochs": _setting(int, _OPTIMISATION, "Passes over the training images. [dim]default: 100[/]"),
    "seed": _setting(int, _OPTIMISATION, "Seed of everything random. [dim]default: 0[/]"),
    "schedule": _setting(str, SCHEDULE, f"{_names(Schedule)}. [dim]default: one-cycle[/]"),
    "warmup_epochs": _setting(
        float, SCHEDULE, "Epochs of rising rate. [dim]default: one-cycle a quarter of all, others 0[/]"
    ),
    "base_lr": _setting(
        float, SCHEDULE, "Lower end of cyclical (default: from lr-find, else lr/10) and one-cycle (lr/25)."
    ),
    "cycle": _setting(str, SCHEDULE, f"Of cyclical: {_names(Cycle)}. [dim]default: triangular[/]"),
    "cycles": _setting(int, SCHEDULE, "Of cyclical: how many. [dim]default: 4[/]", metavar="N"),
    "drop_factor": _setting(
        float, SCHEDULE, "Of step: what divides the rate after 1/2 and 3/4 of the epochs. [dim]default: 10[/]"
    ),
    "grow_batch": _setting(
        int, SCHEDULE, "Of step: multiply the batch size instead, up to N; then divide the rate.", metavar="N"
    ),
}


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command every setting as an option, and recipes.

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
    options = [inspect.Parameter(n, keyword, default=None, annotation=a) for n, a in SETTINGS.items()]
    recipe = inspect.Parameter("recipe", keyword, default=None, annotation=RecipeOption)
    parameters = [*(p.replace(kind=keyword) for p in own), recipe, *options]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    return run


def configure_output(json: bool, quiet: bool) -> None:
    """Applies `--json` and `--quiet`."""
    console.configure(json=json, quiet=quiet)
