"""Trying many settings: which of them should I use?"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from evacli import console, extras, recipes, spreadsheet
from evacli.config import takes_settings
from evacli.errors import ConfigError, RunError
from evacli.run.directory import remove_leftovers, write_text_atomically
from evacli.sweeping import plan as plans
from evacli.sweeping.files import DEFAULT_SWEEP, SweepDir
from evacli.sweeping.plan import Plan, Prune
from evacli.sweeping.result import SweepResult

if TYPE_CHECKING:
    from evacli.sweeping.driver import Driver
    from evacli.sweeping.result import Repeated
    from evacli.sweeping.trials import Trials


@takes_settings
def sweep(
    sweep: str | Path = DEFAULT_SWEEP,
    *,
    search: str | Mapping[str, Any] | Iterable[str] | None = None,
    trials: int | None = None,
    jobs: int = 1,
    prune: Prune | None = None,
    seeds: int = 0,
    recipe: str | Mapping[str, Any] | None = None,
    **settings: Any,
) -> SweepResult:
    """Train with many settings, each in a process and a run directory of its own, or go on where a sweep stopped.

    Several calls may work for one sweep at the same time, on machines that share its folder.

    Args:
        sweep: the folder of the sweep.
        search: what is tried, as "lr=1e-3..1e-1:log,optimizer=sgdw|adamw", the path of a `.toml` file, or a dictionary;
            None: what the sweep was begun with.
        trials: how many trials there are to be, those that are over included; None: as many as before, else 20.
        jobs: how many of them are trained at a time.
        prune: "median" or "hyperband", by which trials that promise nothing are stopped, or "none"; None: as before,
            else by the median.
        seeds: how often the best settings are then trained on all training images, each time with another seed.
        recipe: of this name, or in this file or run, settings under all others, or these themselves; what is searched
            takes their place.
        settings: fields of `evacli.config.Config` that all trials share.

    Returns:
        The trials, the best first, and what follows from them; also in `sweep.csv` and `sweep.html`.

    Raises:
        ConfigError: if something cannot be searched or used, contradicts what the sweep was begun with, or if Optuna is
            not installed.
        Interrupted: after Ctrl-C, SIGTERM or the end of the terminal, once everything is saved.
        EvacliError: if nothing can be trained so.

    Example:
        >>> sweep("sweeps/first", search="lr=1e-3..1e-1:log", dataset="digits", epochs=3).winner.settings
        {'lr': 0.02135}
    """
    extras.require("evacli sweep", ["optuna"], "sweep")
    _check(trials=(trials, 1), jobs=(jobs, 1), seeds=(seeds, 0))
    files = SweepDir(sweep)
    under = recipes.recipe(recipe) if isinstance(recipe, str) else recipe or {}

    def settle() -> Plan:
        return plans.settle(files, search, settings, under, trials, prune)

    settle()  # what cannot be used is refused before anything is written
    files.create()
    with _writing_to(files):
        with FileLock(files.lock):  # another driver may have come first
            plan = settle()
            plans.write(files, plan)
        console.note(_judged(plan))
        result = _go_on(files, plan, jobs, seeds)
        _write(files, result)
    return result


def _check(**counts: tuple[int | None, int]) -> None:
    """Refuse numbers below the least that they may be."""
    for name, (number, least) in counts.items():
        if number is not None and number < least:
            raise ConfigError(f"--{name} {number}: must be at least {least}.")


@contextmanager
def _writing_to(files: SweepDir) -> Iterator[None]:
    try:
        yield
    except OSError as e:
        raise RunError(
            f"{files.path} cannot be written to: {e.strerror or e}.",
            f"Free some space or fix the path, and go on: evacli sweep{files.option}",
        ) from e


def _go_on(files: SweepDir, plan: Plan, jobs: int, seeds: int) -> SweepResult:
    """Do what there is to do, if anything, and return what all of it comes to."""
    from evacli.sweeping.conclude import conclude
    from evacli.sweeping.display import SweepDisplay
    from evacli.sweeping.driver import Driver
    from evacli.sweeping.trials import Trials
    from evacli.sweeping.trying import TrialWork

    tried = Trials(files, plan)
    over = sum(trial.state.is_finished() for trial in tried.all())
    with SweepDisplay(plan.trials, over, plan.config.epochs) as display:
        driver = Driver(files, jobs, display)
        driver.work(TrialWork(files, plan, tried, display))
        repeated = _repeat(files, plan, tried, driver, seeds)
    return conclude(files, plan, tried, repeated)


def _judged(plan: Plan) -> str:
    split = plan.config.val_split
    by = f"by training images held back, --val-split {split:g}" if split else "by the data's own validation images"
    return f"Judged {by}; never by test images."


def _repeat(files: SweepDir, plan: Plan, trials: "Trials", driver: "Driver", count: int) -> "Repeated | None":
    from evacli.sweeping.conclude import best, results
    from evacli.sweeping.repeating import RepeatWork

    winner = best(results(files, plan, trials))
    if not count or winner is None:
        return None
    console.note(f"The best settings, those of trial {winner.number}, once more with {count} other seeds.")
    work = RepeatWork(files, plan, trials, winner, count)
    driver.work(work)
    return work.result()


def _write(files: SweepDir, result: SweepResult) -> None:
    from evacli.sweeping.page import render_page

    remove_leftovers(files.table, files.page, shared=True)
    write_text_atomically(files.table, _csv(result))
    write_text_atomically(files.page, render_page(result))


def _csv(result: SweepResult) -> str:
    columns = ("trial", "state", "val_accuracy", "val_epoch", "epochs", *result.search, "run", "why")
    rows = (
        [t.number, t.state, t.val_accuracy, t.val_epoch, t.epochs, *map(t.settings.get, result.search), t.run, t.why]
        for t in result.trials
    )
    return spreadsheet.to_csv(columns, rows)
