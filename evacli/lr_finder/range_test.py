"""The learning-rate range test (Smith 2015, arXiv 1506.01186, section 3.3), which leaves no trace on the model."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from evacli import config, console, devices, memory, network_file
from evacli.data import load
from evacli.devices import Device
from evacli.engine.base import Controls, Figures
from evacli.engine.hyperparameters import inertia
from evacli.errors import ConfigError, NoSuggestion
from evacli.lr_finder.suggest import (
    CHOSEN_RULE,
    RULES,
    Watch,
    end_of_fall,
    onset,
    reason_to_stop,
    rules_for,
    smooth,
    suggest,
)
from evacli.messages import field_of, in_words
from evacli.notebook import drawn
from evacli.recipes import implied, with_recipe
from evacli.run import config_file, lr_result, split_file
from evacli.run.checkpoint import restore_config
from evacli.run.directory import DEFAULT_RUN, RunDir
from evacli.run.locking import exclusive, refuse_if_busy
from evacli.run.lr_result import Curve, LrFindResult, Mode, Range

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from evacli.training.learner import Learner

# Below so many batches an epoch, most steps see the same images again.
FEW_BATCHES = 4


@config.takes_settings
def lr_find(  # noqa: PLR0913 - each parameter is an option
    run: str | Path = DEFAULT_RUN,
    *,
    min_lr: float = 1e-7,
    max_lr: float = 10.0,
    steps: int = 100,
    mode: Mode = "exp",
    all_rules: bool = False,
    recipe: str | None = None,
    device: Device = "auto",
    **settings: Any,
) -> LrFindResult:
    """Run the range test on the run's own network, data, augmentation, optimizer and batch size.

    Writes the run's configuration, `lr_find.csv`, `lr_find.json` and `lr_find.png`, once the sweep is done.

    Args:
        run: the run directory.
        min_lr: the first learning rate.
        max_lr: the last learning rate.
        steps: how many are tried, a batch each.
        mode: "exp": equal factors between them; "linear": equal differences.
        all_rules: whether the picture shows what other rules suggest, too.
        recipe: of this name, or in this file or run, settings that go under those that are given.
        device: "cpu", "gpu", or "auto": a GPU where TensorFlow can use one.
        settings: fields of `Config`; what is not given comes from the run.

    Raises:
        NoSuggestion: if the curve does not tell a learning rate; the three files are there all the same.
        MemoryShort: if there is not enough memory; then nothing is written.
        EvacliError: if settings, data or model cannot be used; then nothing is written.

    Example:
        >>> lr_find("runs/first", dataset="digits").rule
        'foot'
    """
    devices.want(device)
    swept = make_range(min_lr=min_lr, max_lr=max_lr, steps=steps, mode=mode)
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
            curve = sweep(learner, swept.learning_rates())
            result = conclude(curve, swept, learner.config)
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


class _Enough(Exception):
    """The sweep has seen enough."""


class _Losses:
    """Collects the loss of every update, until they tell enough."""

    every = 10  # what is taken beyond the end is put back with the rest

    def __init__(self, parts: int, show: Callable[[], None]) -> None:
        self._parts, self._show = parts, show
        self._of_update: list[float] = []
        self.curve: list[float] = []
        self._watch = Watch()

    def after(self, figures: Figures) -> None:
        """Note the losses; raise _Enough where the smoothed loss has exploded."""
        for loss in figures.losses:
            self._of_update.append(loss)
            if len(self._of_update) == self._parts:
                self.curve.append(sum(self._of_update) / self._parts)
                self._of_update = []
                self._show()
                if self._watch.stop(self.curve[-1]):
                    raise _Enough


def sweep(learner: "Learner", learning_rates: Sequence[float]) -> Curve:
    """Train one batch at each learning rate, until the loss explodes, and put everything back.

    Batches come in the order of the training, those of the next epochs where one has too few. Only full ones count.

    Returns:
        The loss of each single batch, before its step: what training minimises, penalties included.
    """
    batching, engine = learner.batching, learner.engine
    used, parts = batching.full_steps, batching.accumulated
    controls = [Controls(rate) for rate in learning_rates for _ in range(parts)]
    before = engine.state()
    with console.progress_bars() as bars, console.told_late("Trying learning rates"):
        task = bars.add_task("Trying learning rates", total=len(learning_rates))
        seen = _Losses(parts, lambda: bars.advance(task))
        try:
            for epoch in range(-(-len(controls) // used)):
                engine.run(batching.deal(epoch, controls[epoch * used : (epoch + 1) * used]), [seen])
        except _Enough:
            pass
        finally:
            engine.restore(before)
    return Curve(learning_rates=list(learning_rates[: len(seen.curve)]), losses=seen.curve)


def conclude(curve: Curve, swept: Range, made_with: config.Config) -> LrFindResult:
    """Return what follows from a curve."""

    suggestions: dict[str, float | None] = dict.fromkeys(RULES)
    problem, base_lr = None, None
    try:
        suggestions = suggest(curve.learning_rates, curve.losses, rules_for(inertia(made_with)))
        base_lr = suggest(curve.learning_rates, curve.losses, {"onset": onset})["onset"]
        if suggestions[CHOSEN_RULE] is None:
            problem = f"The rule {CHOSEN_RULE} finds no learning rate on this curve. Try a lower --min-lr."
    except NoSuggestion as e:
        problem = f"{e.message} {e.fix}"
    return LrFindResult(
        lr=suggestions[CHOSEN_RULE],
        rule=CHOSEN_RULE,
        suggestions=suggestions,
        base_lr=base_lr,
        problem=problem,
        range=swept,
        steps_taken=len(curve.losses),
        stopped=reason_to_stop(curve.losses) if len(curve.losses) < swept.steps else None,
        config=made_with,
        curve=curve,
    )


def shown(result: LrFindResult, *, all_rules: bool) -> dict[str, float | None]:
    """Return the suggestions that are shown: that of the chosen rule, or all."""
    return result.suggestions if all_rules else {result.rule: result.lr}


def _draw(result: LrFindResult, curve: Curve, *, all_rules: bool) -> "Figure":
    from evacli.figures.lr_find import lr_find as figure

    suggestions = shown(result, all_rules=all_rules)
    read = end_of_fall(curve.losses) if result.lr is not None else None
    return figure(curve.learning_rates, curve.losses, smooth(curve.losses), suggestions, result.rule, read)


def _write(run: RunDir, asked: config.Config, result: LrFindResult, curve: Curve, *, all_rules: bool) -> None:
    from evacli.figures.style import save

    if not run.has_checkpoint:  # else the settings are those of the training
        # Not what was decided for this network and these images: the training may have others.
        config_file.write(run, asked)
    lr_result.write(run, result, curve, smooth(curve.losses))
    save(_draw(result, curve, all_rules=all_rules), run.lr_find_png)
