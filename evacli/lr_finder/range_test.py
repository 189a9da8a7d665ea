"""The search for a learning rate: a range test and short trainings, and what they found in the run directory."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from evacli import config, console, devices, memory, network_file
from evacli.catalogue.optimizers import OPTIMIZERS
from evacli.data import load
from evacli.devices import Device
from evacli.errors import ConfigError, NoSuggestion
from evacli.lr_finder.conclude import conclude
from evacli.lr_finder.measure import sweep, train_briefly
from evacli.lr_finder.search import search
from evacli.lr_finder.suggest import bottom, halfway, smooth
from evacli.messages import field_of, in_words
from evacli.notebook import drawn
from evacli.recipes import implied, with_recipe
from evacli.run import config_file, lr_result, split_file
from evacli.run.checkpoint import restore_config
from evacli.run.directory import DEFAULT_RUN, RunDir
from evacli.run.locking import exclusive, refuse_if_busy
from evacli.run.lr_result import Curve, Effort, LrFindResult, Mode, Range, ShortTraining

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from evacli.training.learner import Learner

# Below so many batches an epoch, most steps see the same images again.
FEW_BATCHES = 4


@config.takes_settings
def lr_find(  # noqa: PLR0913 - each parameter is an option
    run: str | Path = DEFAULT_RUN,
    *,
    effort: Effort | None = None,
    steps: int | None = None,
    min_lr: float = 1e-7,
    max_lr: float = 10.0,
    mode: Mode = "exp",
    all_rules: bool = False,
    recipe: str | None = None,
    device: Device = "auto",
    **settings: Any,
) -> LrFindResult:
    """Look for a learning rate with the run's own network, data, augmentation, optimizer, schedule and batch size.

    A sweep, Smith's range test, raises the rate batch by batch; short trainings at rates around the one that it
    suggests then decide. Nothing of that is left in the network.

    Writes the run's configuration, `lr_find.csv`, `lr_find.json` and `lr_find.png`, once all is done.

    Args:
        run: the run directory.
        effort: "quick": the sweep alone, 100 steps; "normal": about 300 steps; "thorough", unless told otherwise: up to
            1,000, mostly about 650.
        steps: instead, one sweep of so many rates, a batch each.
        min_lr: the first learning rate.
        max_lr: the last learning rate.
        mode: "exp": equal factors between them; "linear": equal differences.
        all_rules: whether the picture shows what other rules suggest, too.
        recipe: of this name, or in this file or run, settings that go under those that are given.
        device: "cpu", "gpu", or "auto": a GPU where TensorFlow can use one.
        settings: fields of `Config`; what is not given comes from the run.

    Raises:
        NoSuggestion: if nothing is learnt at any of the rates; the three files are there all the same.
        MemoryShort: if there is not enough memory; then nothing is written.
        EvacliError: if settings, data or model cannot be used; then nothing is written.

    Example:
        >>> lr_find("runs/first", dataset="digits").rule
        'short trainings'
    """
    devices.want(device)
    effort, plan = _plan(effort, steps)
    swept = make_range(min_lr=min_lr, max_lr=max_lr, steps=plan.steps, mode=mode)
    directory, settings = RunDir(run), with_recipe(recipe, settings)
    refuse_if_busy(directory)
    restore_config(directory)
    made_with = config_file.inherit(directory, implied(directory, settings), trained=directory.has_checkpoint)
    network_file.allow(made_with.model, directory, named="model" in settings)
    # Over several epochs, too, all batches are of the size with which a training begins.
    settled = msgspec.structs.replace(made_with, grow_batch=None)
    from evacli.training.learner import assemble

    with console.status("Reading the images"):
        data = load(settled, split_file.read(directory, made_with))
    with memory.heeding(f"try batches of {settled.largest_batch}", memory.lighter(settled.largest_batch)):
        learner = assemble(settled, data)
        _hint_at_few_batches(learner)
        with exclusive(directory):
            curve, short_trainings = measure(learner, plan, swept)
            result = conclude(curve, swept, learner.config, effort, short_trainings)
            drawn(result, partial(_draw, result, curve, all_rules=all_rules))
            tried = msgspec.structs.replace(made_with, batch_size=learner.config.batch_size)
            _write(directory, tried, result, curve, all_rules=all_rules)
            split_file.write(directory, data.drawn)
    if result.problem:
        raise NoSuggestion(result.problem, f"The curve is in {directory.lr_find_png}.")
    return result


def _hint_at_few_batches(learner: "Learner") -> None:
    images, size = len(learner.data.train), learner.config.largest_batch
    if size != "full" and images < FEW_BATCHES * size:
        console.note(
            f"{images:,} training images are few for batches of {size:,}; a lower --batch-size tells more.", "yellow"
        )


def make_range(**values: object) -> Range:
    """Return the range with these limits.

    Raises:
        ConfigError: naming the option, its value and what was expected.
    """
    try:
        swept = msgspec.convert(values, Range)
    except msgspec.ValidationError as e:
        field = field_of(str(e))
        raise ConfigError(f"{config.option(field)} {values[field]}: {in_words(str(e))}.") from e
    if swept.min_lr >= swept.max_lr:
        raise ConfigError(f"--min-lr {swept.min_lr:g} is not below --max-lr {swept.max_lr:g}.", "Exchange them.")
    return swept


class Plan(NamedTuple):
    """What a range test does: a sweep of `steps` rates, then `most` short trainings of `updates` updates each."""

    steps: int
    most: int = 0
    updates: int = 0


EFFORTS: dict[Effort, Plan] = {"quick": Plan(100), "normal": Plan(100, 6, 33), "thorough": Plan(100, 9, 100)}
# The cheapest that costs less than half a point of accuracy in examples/lr_regret.py.
DEFAULT: Effort = "thorough"


def _plan(effort: Effort | None, steps: int | None) -> tuple[Effort | None, Plan]:
    if steps is not None:
        if effort is not None:
            raise ConfigError("--effort and --steps both say how much is tried.", "Leave one of them out.")
        return None, Plan(steps)
    chosen = effort or DEFAULT
    if chosen not in EFFORTS:
        raise ConfigError(f"--effort {chosen}: there are {', '.join(EFFORTS)}.")
    return chosen, EFFORTS[chosen]


def measure(learner: "Learner", plan: Plan, swept: Range) -> tuple[Curve, list[ShortTraining]]:
    """Sweep, and train briefly at rates around the one that the sweep suggests; leave no trace on the network."""
    with console.progress_bars() as bars, console.told_late("Trying learning rates"):
        task = bars.add_task("Trying learning rates", total=plan.steps + plan.most * plan.updates)
        advance = partial(bars.advance, task)
        curve = sweep(learner, swept.learning_rates(), advance)
        bars.update(task, completed=plan.steps)
        if not plan.most:
            return curve, []
        read = bottom(curve.learning_rates, curve.losses)
        limits = swept.min_lr, swept.max_lr
        return curve, search(
            lambda lr: train_briefly(learner, lr, plan.updates, advance),
            halfway(read, OPTIMIZERS[learner.config.optimizer].lr, limits),
            plan.most,
            limits,
        )


def shown(result: LrFindResult, *, all_rules: bool) -> dict[str, float | None]:
    """Return the suggestions that are shown: the one that is taken, or all."""
    return result.suggestions if all_rules else {result.rule: result.lr}


def _draw(result: LrFindResult, curve: Curve, *, all_rules: bool) -> "Figure":
    from evacli.figures.lr_find import lr_find as figure

    return figure(result, curve, shown(result, all_rules=all_rules), smooth(curve.losses) if all_rules else None)


def _write(run: RunDir, asked: config.Config, result: LrFindResult, curve: Curve, *, all_rules: bool) -> None:
    from evacli.figures.style import save

    if not run.has_checkpoint:  # else the settings are those of the training
        # Not what was decided for this network and these images: the training may have others.
        config_file.write(run, asked)
    lr_result.write(run, result, curve)
    save(_draw(result, curve, all_rules=all_rules), run.lr_find_png)
