"""Training a run: begun, or continued where it stopped."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from evacli import config, console, data, memory, network_file, workers
from evacli.catalogue.trackers import Log
from evacli.config import Config, takes_settings
from evacli.devices import Device, Number, want
from evacli.errors import MemoryShort, RunError
from evacli.formats import counted
from evacli.notebook import drawn
from evacli.recipes import implied, with_recipe
from evacli.run import config_file, history, split_file, summary
from evacli.run.checkpoint import Progress, load_progress, restore_config
from evacli.run.directory import DEFAULT_RUN, RunDir
from evacli.run.locking import exclusive, refuse_if_busy
from evacli.run.summary import Summary
from evacli.run.versions import keep_threads
from evacli.training.trackers.choice import chosen

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from evacli.engine.replicas.crew import Crew
    from evacli.training.hooks import Reached


@takes_settings
def train(  # noqa: PLR0913 - each parameter is an option
    run: str | Path = DEFAULT_RUN,
    *,
    overwrite: bool = False,
    checkpoint_minutes: float = 5.0,
    stop_when: Callable[["Reached"], bool] | None = None,
    log: Log | None = None,
    recipe: str | None = None,
    device: Device = "auto",
    deterministic: bool = False,
    devices: Number = 1,
    **settings: Any,
) -> Summary:
    """Train the run's network, or go on where an interrupted training of it stopped.

    Args:
        run: the run directory.
        overwrite: forget an earlier training of this run and start anew.
        checkpoint_minutes: longest time between two checkpoints inside an epoch.
        stop_when: asked after each step and each epoch, with `evacli.training.hooks.Reached`; where it says True, the
            training is saved and stops with `Stopped`. The same call goes on.
        log: "tensorboard" or "mlflow", to log each epoch there too; "none" not to; None: where the run has been logged
            before, if it has. A tracker that fails is left out, with a warning.
        recipe: of this name, or in this file or run, settings that go under those that are given.
        device: "cpu", "gpu", or "auto": a GPU where TensorFlow can use one. A run may go on on another one.
        deterministic: whether a GPU shall give the same bits for the same steps, at the price of speed.
        devices: how many of them share each batch, or "all" GPUs; what is learnt is the same up to rounding. A
            run may go on with another number.
        settings: fields of `evacli.config.Config` that override what the run has stored; `data` may also be arrays,
            (x_train, y_train, x_test, y_test) or (x, y).

    Returns:
        What the training came to; also in the run's `summary.json`.

    Example:
        >>> train("runs/first", dataset="digits", epochs=5).top_accuracy
        0.9805555555555555

    Raises:
        Stopped: if `stop_when` said so, once everything is saved.
        Interrupted: after Ctrl-C, SIGTERM or the end of the terminal, once everything is saved.
        Diverged: if a loss is not finite; the last good checkpoint stays.
        MemoryShort: if there is not enough memory; the last checkpoint stays.
        EvacliError: if a setting, the data, the network or the run directory cannot be used.
    """
    place = workers.place()
    want(device, deterministic=deterministic, number=devices, place=place)
    directory, settings = RunDir(run), with_recipe(recipe, settings)
    training = partial(_train, directory, settings, overwrite, checkpoint_minutes, stop_when, log)
    if place is None:
        return training(None)
    if place.is_chief:
        # Before TensorFlow starts. What else is wrong with the run, the others shall hear of, too.
        with suppress(RunError):
            if not overwrite and (progress := load_progress(directory)):
                keep_threads(progress.versions)
        console.note(f"Waiting until all {place.count} processes of this training are there.")
    with workers.ending_at_once():  # TensorFlow meets the others as soon as it starts
        from evacli.engine.replicas.crew import crew

        found = crew()
    assert found
    if not place.is_chief:
        from evacli.training.serving import serve

        return serve(found, directory, settings)
    with found.leading() as told:
        reached = training(found)
        told["summary"] = msgspec.to_builtins(reached)
    return reached


def _train(
    directory: RunDir,
    settings: dict[str, Any],
    overwrite: bool,
    checkpoint_minutes: float,
    stop_when: Callable[["Reached"], bool] | None,
    log: Log | None,
    crew: "Crew | None",
) -> Summary:
    refuse_if_busy(directory)
    progress = None if overwrite else load_progress(directory)
    if progress:
        restore_config(directory)
    settled = config_file.inherit(directory, implied(directory, settings), trained=progress is not None)
    trackers = chosen(directory, log)
    done = _finished(directory, progress, settled) if progress and log in (None, "none") else None
    if done:
        console.note(
            f"{directory.path} already has its {counted(done.epochs_done, 'epoch')}; a larger --epochs trains on."
        )
        return drawn(done, partial(_draw, directory, done))
    network_file.allow(settled.model, directory, named="model" in settings)
    _check_clock()
    if progress:
        keep_threads(progress.versions)
    with console.status("Reading the images"):
        loaded = data.load(settled, split_file.read(directory, settled))
    # Only now: a run that is done, and a mistake in what came before, need not wait for TensorFlow.
    from evacli.models.pretrained import require_same
    from evacli.training.learner import assemble
    from evacli.training.loop import Loop
    from evacli.training.rates import choose_rates
    from evacli.training.start import forget, start_or_resume
    from evacli.training.trackers.following import following

    if progress and progress.pretrained:
        fix = f"Put the file back as it was, or start anew: evacli train{directory.option} --overwrite"
        require_same(settled, progress.pretrained, fix)
    if crew:
        from evacli.training.serving import introduce

        introduce(crew, settled, loaded)
    with _keeping_what_is_reached(directory, settled):
        learner = assemble(settled, loaded)
        with exclusive(directory):
            if overwrite:
                choose_rates(directory, learner.config)  # what cannot be used is told before that
                forget(directory)
            state = start_or_resume(directory, learner)
            with following(trackers, state) as follow:
                reached = Loop(state, checkpoint_minutes, stop_when, follow).run()
    return drawn(reached, partial(_draw, directory, reached))


def _draw(run: RunDir, reached: Summary) -> "Figure":
    from evacli.figures.curves import draw_curves

    return draw_curves(history.read_csv(run.history), reached.top_epoch, reached.chosen_by, tta=reached.tta)


@contextmanager
def _keeping_what_is_reached(run: RunDir, settled: Config) -> Iterator[None]:
    """Say, where memory ends, what is there to go on from."""
    lighter = memory.lighter(settled.largest_batch)
    try:
        with memory.heeding(f"train in batches of {settled.largest_batch}", lighter):
            yield
    except MemoryShort as e:
        if not run.has_checkpoint:
            raise
        raise MemoryShort(
            f"{e.message.rstrip('.')}; the last checkpoint is kept.",
            f"Go on where more is free: evacli train{run.option}; or start anew with --overwrite. {lighter}",
        ) from e


def _check_clock() -> None:
    """Refuse a date that zip files, as the checkpoint and the best model are, cannot hold: before hours of work."""
    year = time.localtime().tm_year
    if not 1980 <= year < 2108:
        raise RunError(f"The clock of this machine says {year}; files cannot be dated so.", "Set the clock.")


def _finished(run: RunDir, progress: Progress, wanted: Config) -> Summary | None:
    """Return the summary of a training that has all the epochs that are wanted, if all its results are there."""
    made_with = config_file.located(run, progress.config)
    moved = [field for field in config.differences(made_with, wanted) if field != "epochs"]
    if moved or len(progress.rows) < wanted.epochs or not (run.best_model.exists() and run.history.exists()):
        return None
    try:
        found = summary.read(run)
    except RunError:
        return None
    return found if found.state == "finished" and found.epochs_done == len(progress.rows) else None
