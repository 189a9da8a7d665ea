"""Starting a training, or resuming it at its checkpoint: which may go on, and from where."""

from itertools import chain

from evacli import config, console, paths
from evacli.data.names import as_text
from evacli.data.survey import fingerprint_under
from evacli.errors import Contradiction, DataError, ModelError, RunError
from evacli.models.fingerprint import fingerprint, is_of
from evacli.run import checkpoint, evaluations, gradcam_files, summary
from evacli.run.checkpoint import Arrays, Progress
from evacli.run.directory import RunDir, unlink
from evacli.run.locking import drawing
from evacli.run.versions import differences, versions
from evacli.training.learner import Learner
from evacli.training.rates import choose_rates
from evacli.training.state import TrainingState


def start_or_resume(run: RunDir, learner: Learner) -> TrainingState:
    """Return the run's training, at its checkpoint or at its beginning.

    Raises:
        RunError: if the checkpoint is missing beside results, garbled or of another network.
        Contradiction, DataError, ModelError: see `_check_same_training`.
    """
    # Read under the lock: until then another process may have moved it on.
    stored = checkpoint.load(run)
    if stored is None:
        _check_nothing_lost(run)
        return TrainingState(run, learner, _beginning(run, learner))
    _check_same_training(run, stored[0], learner)
    state = TrainingState(run, learner, stored[0])
    _restore(state, stored[1])
    return state


def forget(run: RunDir) -> None:
    """Delete what an earlier training has left, and what was concluded from it: it is not true of the next one."""
    tracked = chain.from_iterable(run.tracked.values())
    for path in (run.checkpoint_before, run.checkpoint, run.summary, run.history, run.best_model, *tracked):
        path.unlink(missing_ok=True)
    unlink(run.exports)
    with drawing(run):
        for path in run.of_drawing:
            path.unlink(missing_ok=True)
        gradcam_files.remove(run)
        gradcam_files.remove_singles(run.predictions_gradcam_folder, ())
        evaluations.remove(run)


def _check_nothing_lost(run: RunDir) -> None:
    """Refuse to begin where a training has left results but no checkpoint, which would be overwritten."""
    results = [path.name for path in (run.best_model, run.history) if path.exists()]
    if results:
        raise RunError(
            f"{run.path} has {' and '.join(results)} of a training but no {run.checkpoint.name} to go on from.",
            f"Put it back, name another --run, or start anew: evacli train{run.option} --overwrite",
        )


def _beginning(run: RunDir, learner: Learner) -> Progress:
    rates = choose_rates(run, learner.config)
    return Progress(
        config=learner.config,
        lr=rates.lr,
        lr_source=rates.source,
        base_lr=rates.base_lr,
        class_names=learner.data.class_names,
        data_fingerprint=learner.data.fingerprint,
        network_fingerprint=fingerprint(learner.network),
        pretrained=learner.origin,
        versions=versions(),
    )


def _restore(state: TrainingState, arrays: Arrays) -> None:
    """Take over a checkpoint's arrays, and write again what is written from them."""
    run, learner, progress = state.run, state.learner, state.progress
    try:
        learner.engine.restore(arrays)
    except ValueError as e:
        raise _unfit(run, f"{e} variables") from e
    state.best_weights = arrays.get("best", [])
    if progress.best_epoch:
        try:
            learner.network.set_weights(state.best_weights)
        except ValueError as e:
            raise _unfit(run, "best weights") from e
        state.write_best()
    if state.rows:
        state.write_results()
    epoch, last = len(state.rows) + 1, progress.config.epochs
    if epoch <= last:
        console.note(f"Resuming in epoch {epoch} of {last}, after {progress.batch} of its batches.")


def _unfit(run: RunDir, what: str) -> RunError:
    return RunError(
        f"The {what} in {run.checkpoint} do not fit this run's network.",
        f"Put the run's own file back, or start anew: evacli train{run.option} --overwrite",
    )


def _check_same_training(run: RunDir, progress: Progress, learner: Learner) -> None:
    """Refuse what would make the rest another training, and report what may change its last bits.

    Raises:
        Contradiction: if the run's configuration is not the checkpoint's, or would change the epoch under way.
        DataError: if the images, labels or class names are others than those trained on.
        ModelError: if the user's file now builds another network.
    """
    differing = config.contradictions(progress.config, learner.config)
    if differing:
        raise Contradiction(
            f"{run.config} is not what {run.checkpoint} was made with: {differing}.",
            f"Delete {run.config} to go on as before, or start anew: evacli train{run.option} --overwrite",
        )
    if progress.batch and learner.config.grow_batch and learner.config.epochs != progress.config.epochs:
        # The epoch under way would go on with batches of another size, from another image.
        raise Contradiction(
            f"{run.path} stopped inside an epoch, and with --grow-batch the batches depend on --epochs.",
            f"Finish as before: evacli train{run.option} --epochs {progress.config.epochs}",
        )
    before, found = as_text(progress.class_names), as_text(learner.data.class_names)
    if found != before:
        difference = summary.class_difference(before, found)
        raise DataError(
            f"The data has other classes than the run: {difference}.",
            "Name the run's own data with --data, or another --run.",
        )
    if progress.data_fingerprint != fingerprint_under(progress.class_names, learner.data):
        raise DataError(
            "The images or labels are not those that the run was trained on.",
            "Name the run's own data with --data, or another --run.",
        )
    steps = learner.batching.steps(len(progress.rows))
    if progress.batch > steps:
        raise RunError(
            f"{run.checkpoint} is no checkpoint of this run: it has {progress.batch:,} finished batches of {steps:,}.",
            f"Put the run's own file back, or start anew: evacli train{run.option} --overwrite",
        )
    now = versions()
    if not _same_network(progress, learner, now):
        raise ModelError(
            f"--model {paths.on_file(learner.config.model, paths.shown)} is not the network that the run was trained "
            "with.",
            "Name the run's own file with --model, or put it back as it was, or start anew: "
            f"evacli train{run.option} --overwrite",
        )
    _report_versions(progress.versions, now)


def _same_network(progress: Progress, learner: Learner, now: dict[str, str]) -> bool:
    if progress.network_fingerprint and progress.versions.get("keras") == now["keras"]:
        return is_of(progress.network_fingerprint, learner.network)
    # A new Keras may describe the same layer with other settings; then a file that has moved is known by its name.
    (before, function), (file, *same) = paths.split(progress.config.model), paths.split(learner.config.model)
    return (before.name, function) == (file.name, *same)


def _report_versions(before: dict[str, str], now: dict[str, str]) -> None:
    if changes := differences(before, now):
        console.warn(f"Since the run began: {', '.join(changes)}. The last digits may differ from here on.")
