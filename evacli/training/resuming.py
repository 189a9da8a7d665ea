"""Whether a checkpoint may be continued: by the same configuration, on the same data, with the same libraries."""

from evacli import config, console
from evacli.errors import Contradiction, DataError, ModelError
from evacli.models.fingerprint import fingerprint
from evacli.run import summary
from evacli.run.checkpoint import Progress
from evacli.run.directory import RunDir
from evacli.run.versions import versions
from evacli.training.learner import Learner


def check_same_training(run: RunDir, progress: Progress, learner: Learner) -> None:
    """Refuses what would make the rest another training, and reports what may change its last bits.

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
    if progress.class_names != learner.data.class_names:
        difference = summary.class_difference(progress.class_names, learner.data.class_names)
        raise DataError(
            f"The data has other classes than the run: {difference}.",
            "Name the run's own data with --data, or another --run.",
        )
    if progress.data_fingerprint != learner.data.fingerprint:
        raise DataError(
            "The images or labels are not those that the run was trained on.",
            "Name the run's own data with --data, or another --run.",
        )
    now = versions()
    # A new Keras may describe the same layer with other settings.
    comparable = progress.network_fingerprint and progress.versions.get("keras") == now["keras"]
    if comparable and progress.network_fingerprint != fingerprint(learner.model):
        raise ModelError(
            f"--model {learner.config.model} is no longer the network that the run was trained with.",
            f"Put it back, or name another --run, or start anew: evacli train{run.option} --overwrite",
        )
    _report_versions(progress.versions, now)


def _report_versions(before: dict[str, str], now: dict[str, str]) -> None:
    changes = [f"{name} {before.get(name, '-')} -> {value}" for name, value in now.items() if before.get(name) != value]
    if changes:
        console.warn(f"Since the run began: {', '.join(changes)}. The last digits may differ from here on.")
