"""Which trackers follow a training: told before TensorFlow starts."""

from evacli import console, extras
from evacli.catalogue.trackers import TRACKERS
from evacli.run.directory import RunDir


def chosen(run: RunDir, log: str | None) -> list[str]:
    """Return the names of the trackers that are to follow a training.

    Args:
        run: the run directory.
        log: the one that was asked for, or "none"; None: those that the run has been logged to before.

    Raises:
        ConfigError: if the package of the one that was asked for is not installed.
    """
    if log is not None:
        if log in TRACKERS:
            extras.require(f"--log {log}", [log], log)
        return [log] if log in TRACKERS else []
    remembered = [name for name, place in run.tracked.items() if place]
    for name in remembered:
        if not extras.installed(name):
            console.warn(f"{run.path} was logged to {name}, which is not installed; it is not logged now.")
    return [name for name in remembered if extras.installed(name)]
