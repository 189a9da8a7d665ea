"""Whether a checkpoint may be continued: by the same configuration, on the same data, with the same libraries."""

from evacli import config, console
from evacli.checkpoint import Progress
from evacli.errors import Contradiction, DataError
from evacli.learner import Learner
from evacli.rundir import RunDir
from evacli.versions import versions


def check_same_training(run: RunDir, progress: Progress, learner: Learner) -> None:
    """Refuses what would make the rest another training, and reports what may change its last bits.

    Raises:
        Contradiction: if the run's configuration is not the checkpoint's.
        DataError: if the images, labels or class names are others than those trained on.
    """
    anew = f"Start anew: evacli train{run.option} --overwrite"
    differing = config.contradictions(progress.config, learner.config)
    if differing:
        raise Contradiction(f"{run.config} is not what {run.checkpoint} was made with: {differing}.", anew)
    if progress.class_names != learner.data.class_names:
        raise DataError(
            f"The run was trained on the classes {_shown(progress.class_names)}; "
            f"the data now has {_shown(learner.data.class_names)}.",
            "Name the run's own data with --data, or another --run.",
        )
    if progress.data_fingerprint != learner.data.fingerprint:
        raise DataError(
            "The images or labels are not those that the run was trained on.",
            "Name the run's own data with --data, or another --run.",
        )
    _report_versions(progress.versions, versions())


def _report_versions(before: dict[str, str], now: dict[str, str]) -> None:
    changes = [f"{name} {before.get(name, '-')} -> {value}" for name, value in now.items() if before.get(name) != value]
    if changes:
        console.warn(f"Since the run began: {', '.join(changes)}. The last digits may differ from here on.")


def _shown(names: tuple[str, ...]) -> str:
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
