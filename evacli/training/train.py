"""Training a run: begun, or continued where it stopped."""

from pathlib import Path
from typing import Any

from evacli import config, console, data
from evacli.config import Config
from evacli.lr_finder.result import fits, suggestion
from evacli.models.fingerprint import fingerprint
from evacli.run import checkpoint
from evacli.run.checkpoint import Progress
from evacli.run.directory import DEFAULT_RUN, RunDir, remove_leftovers
from evacli.run.locking import exclusive, refuse_if_busy
from evacli.run.summary import Summary
from evacli.run.versions import versions
from evacli.training.learner import Learner, assemble
from evacli.training.loop import Training
from evacli.training.resuming import check_nothing_lost, check_same_training, finished

DEFAULT_LR = 0.05


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
    progress = None if overwrite else checkpoint.load_progress(directory)
    if progress and not directory.config.exists():
        config.write(directory, progress.config)
    settled = config.inherit(directory, settings, trained=progress is not None)
    done = finished(directory, progress, settled) if progress else None
    if done:
        console.note(f"{directory.path} already has its {done.epochs_done} epochs; a larger --epochs trains on.")
        return done
    learner = assemble(settled, data.load(settled))
    with exclusive(directory):
        if overwrite:
            _forget(directory)
        return _open(directory, learner, checkpoint_minutes).run_to_end()


def _forget(run: RunDir) -> None:
    for path in _results(run):
        path.unlink(missing_ok=True)


def _results(run: RunDir) -> tuple[Path, ...]:
    return run.checkpoint, run.summary, run.history, run.best_model


def _open(run: RunDir, learner: Learner, checkpoint_minutes: float) -> Training:
    """The run's training, at its checkpoint or at its beginning."""
    remove_leftovers(*_results(run))
    # Read under the lock: until then another process may have moved it on.
    stored = checkpoint.load(run)
    if stored is None:
        check_nothing_lost(run)
        return Training(run, learner, _beginning(run, learner), checkpoint_minutes)
    check_same_training(run, stored[0], learner)
    training = Training(run, learner, stored[0], checkpoint_minutes)
    training.restore(stored[1])
    return training


def _beginning(run: RunDir, learner: Learner) -> Progress:
    lr, source = learning_rate(run, learner.config)
    return Progress(
        config=learner.config,
        lr=lr,
        lr_source=source,
        class_names=learner.data.class_names,
        data_fingerprint=learner.data.fingerprint,
        network_fingerprint=fingerprint(learner.model),
        versions=versions(),
    )


def learning_rate(run: RunDir, settled: Config) -> tuple[float, str]:
    """The peak learning rate of a training and where it comes from: `--lr`, lr-find, or the default."""
    if settled.lr != "auto":
        return settled.lr, "--lr"
    found = suggestion(run)
    if found is None or found.lr is None:
        return DEFAULT_LR, "evacli's default; evacli lr-find looks for a better one"
    differing = fits(found, settled)
    if differing:
        return DEFAULT_LR, f"evacli's default; lr-find was run with another {', '.join(map(config.option, differing))}"
    return found.lr, f"lr-find, {found.rule}"
