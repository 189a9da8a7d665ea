"""Training a run: begun, or continued where it stopped."""

from pathlib import Path
from typing import Any

from evacli import config, console, data, network_file
from evacli.config import Config, takes_settings
from evacli.errors import RunError
from evacli.run import config_file, summary
from evacli.run.checkpoint import Progress, load_progress, restore_config
from evacli.run.directory import DEFAULT_RUN, RunDir
from evacli.run.locking import exclusive, refuse_if_busy
from evacli.run.summary import Summary


@takes_settings
def train(
    run: str | Path = DEFAULT_RUN, *, overwrite: bool = False, checkpoint_minutes: float = 5.0, **settings: Any
) -> Summary:
    """Trains the run's network, or goes on where an interrupted training of it stopped.

    Args:
        run: the run directory.
        overwrite: forget an earlier training of this run and start anew.
        checkpoint_minutes: longest time between two checkpoints inside an epoch.
        settings: fields of `evacli.config.Config` that override what the run has stored.

    Returns:
        What the training came to; also in the run's `summary.json`.

    Raises:
        Interrupted: after Ctrl-C, SIGTERM or the end of the terminal, once everything is saved.
        Diverged: if a loss is not finite; the last good checkpoint stays.
        EvacliError: if a setting, the data, the network or the run directory cannot be used.
    """
    directory = RunDir(run)
    refuse_if_busy(directory)
    progress = None if overwrite else load_progress(directory)
    if progress:
        restore_config(directory)
    settled = config_file.inherit(directory, settings, trained=progress is not None)
    done = _finished(directory, progress, settled) if progress else None
    if done:
        console.note(f"{directory.path} already has its {done.epochs_done} epochs; a larger --epochs trains on.")
        return done
    network_file.allow(settled.model, directory, named="model" in settings)
    loaded = data.load(settled)
    # Only now: a run that is done, and a mistake in what came before, need not wait for TensorFlow.
    from evacli.training.learner import assemble
    from evacli.training.opening import forget, open_training, rates

    learner = assemble(settled, loaded)
    with exclusive(directory):
        if overwrite:
            rates(directory, learner.config)  # what cannot be used is told before that
            forget(directory)
        return open_training(directory, learner, checkpoint_minutes).run_to_end()


def _finished(run: RunDir, progress: Progress, wanted: Config) -> Summary | None:
    """The summary of a training that already has all the epochs that are wanted, if all its results are there."""
    moved = [field for field in config.differences(progress.config, wanted) if field != "epochs"]
    if moved or len(progress.rows) < wanted.epochs or not (run.best_model.exists() and run.history.exists()):
        return None
    try:
        found = summary.read(run)
    except RunError:
        return None
    return found if found.state == "finished" and found.epochs_done == len(progress.rows) else None
