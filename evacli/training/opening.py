"""Opening a training: at its checkpoint, or at its beginning."""

from pathlib import Path

from evacli import config
from evacli.catalogue.optimizers import OPTIMIZERS
from evacli.config import Config
from evacli.errors import ConfigError, RunError
from evacli.models.fingerprint import fingerprint
from evacli.run import checkpoint, gradcam_files
from evacli.run.checkpoint import Progress
from evacli.run.directory import RunDir, remove_leftovers
from evacli.run.lr_result import fits, suggestion
from evacli.run.versions import versions
from evacli.training.learner import Learner
from evacli.training.loop import Training
from evacli.training.resuming import check_same_training


def forget(run: RunDir) -> None:
    """Deletes what an earlier training has left, and what was concluded from it: it is not true of the next one."""
    for path in (*_results(run), run.report, run.curves_png, run.confusion_png, run.misclassified):
        path.unlink(missing_ok=True)
    gradcam_files.remove(run)


def _results(run: RunDir) -> tuple[Path, ...]:
    return run.checkpoint, run.summary, run.history, run.best_model


def open_training(run: RunDir, learner: Learner, checkpoint_minutes: float) -> Training:
    """The run's training, at its checkpoint or at its beginning."""
    remove_leftovers(*_results(run))
    # Read under the lock: until then another process may have moved it on.
    stored = checkpoint.load(run)
    if stored is None:
        _check_nothing_lost(run)
        return Training(run, learner, _beginning(run, learner), checkpoint_minutes)
    check_same_training(run, stored[0], learner)
    training = Training(run, learner, stored[0], checkpoint_minutes)
    training.restore(stored[1])
    return training


def _check_nothing_lost(run: RunDir) -> None:
    """Refuses to begin where a training has left results but no checkpoint, which would be overwritten.

    Raises:
        RunError: naming what is there.
    """
    results = [path.name for path in (run.best_model, run.history) if path.exists()]
    if results:
        raise RunError(
            f"{run.path} has {' and '.join(results)} of a training but no {run.checkpoint.name} to go on from.",
            f"Put it back, name another --run, or start anew: evacli train{run.option} --overwrite",
        )


def _beginning(run: RunDir, learner: Learner) -> Progress:
    lr, source, base_lr = rates(run, learner.config)
    return Progress(
        config=learner.config,
        lr=lr,
        lr_source=source,
        base_lr=base_lr,
        class_names=learner.data.class_names,
        data_fingerprint=learner.data.fingerprint,
        network_fingerprint=fingerprint(learner.model),
        versions=versions(),
    )


def rates(run: RunDir, settled: Config) -> tuple[float, str, float | None]:
    """The peak learning rate of a training, where it comes from, and the lower end of its schedule (None: its own).

    Raises:
        ConfigError: if the lower end is not below the peak.
        RunError: if the run's range test is garbled.
    """
    lr, source = learning_rate(run, settled)
    return lr, source, base_rate(run, settled, lr)


def learning_rate(run: RunDir, settled: Config) -> tuple[float, str]:
    """The peak learning rate of a training and where it comes from: `--lr`, lr-find, or the optimizer's default."""
    if settled.lr != "auto":
        return settled.lr, "--lr"
    default, what = OPTIMIZERS[settled.optimizer].lr, f"the default for {settled.optimizer}"
    found = suggestion(run)
    if found is None or found.lr is None:
        return default, f"{what}; evacli lr-find looks for a better one"
    differing = fits(found, settled)
    if differing:
        return default, f"{what}; lr-find was run with another {', '.join(map(config.option, differing))}"
    return found.lr, f"lr-find, {found.rule}"


def base_rate(run: RunDir, settled: Config, lr: float) -> float | None:
    """The lower end of a schedule that has one: `--base-lr`, or for cyclical where lr-find saw the loss begin to fall.

    Returns:
        None where the schedule has an end of its own.

    Raises:
        ConfigError: if it is not below the peak `lr`.
    """
    if settled.base_lr is not None:
        if settled.base_lr >= lr:
            raise ConfigError(f"--base-lr {settled.base_lr:g} is not below the peak, {lr:.4g}.", "Give a lower one.")
        return settled.base_lr
    found = suggestion(run) if settled.schedule == "cyclical" and settled.lr == "auto" else None
    usable = found is not None and found.base_lr is not None and found.base_lr < lr and not fits(found, settled)
    return found.base_lr if found is not None and usable else None
