"""What the page of a sweep shows."""

from evacli.config import option
from evacli.formats import DASH, counted, percent, spelled
from evacli.pages.render import render
from evacli.sweeping import charts, search
from evacli.sweeping.result import SweepResult, TrialResult

MOST_ROWS = 200  # trials that the page lists


def render_page(result: SweepResult) -> str:
    """Render the page as HTML."""
    winner = result.winner
    tested = any(trial.val_accuracy is not None for trial in result.trials)
    return render(
        "sweep.html",
        title=f"{counted(len(result.trials), 'trial')} of {', '.join(map(option, result.search))}",
        result=result,
        winner=winner,
        chosen=[(option(name), spelled(value)) for name, value in (winner.settings if winner else {}).items()],
        notices=_notices(result),
        cards=_cards(result),
        parallel=charts.parallel(result, search.read(result.search)) if tested else None,
        curves=charts.curves(result) if tested else None,
        looks=charts.LOOKS,
        rows=[(trial, _cells(trial, result)) for trial in result.trials[:MOST_ROWS]],
        searched=[(option(name), spelling) for name, spelling in result.search.items()],
        shared=[(option(name), spelled(value)) for name, value in result.settings.items() if value is not None],
    )


def _notices(result: SweepResult) -> list[str]:
    if result.winner is None:
        return ["No trial came to its end, so nothing can be said of the settings."]
    return []


def _cards(result: SweepResult) -> list[tuple[str, str, str]]:
    winner, repeated = result.winner, result.repeated
    states = [(result.count(state), state) for state in ("pruned", "diverged", "failed")]
    ends = ", ".join(f"{number} {state}" for number, state in states if number)
    found = [
        (
            "Best validation accuracy",
            percent(winner.val_accuracy if winner else None),
            f"trial {winner.number}, epoch {winner.val_epoch} of {result.epochs}" if winner else "",
        ),
        ("Trials to their end", str(result.count("finished")), f"of {len(result.trials)}{f'; {ends}' if ends else ''}"),
    ]
    if result.importance:
        name, part = next(iter(result.importance.items()))
        doubt = ", mostly chance of so few trials" if result.tells_little else ""
        found.append(("Matters most", name, f"{percent(part, 0)} of what sets the best apart{doubt}"))
    if repeated:
        spread = "" if repeated.deviation is None else f" ± {100 * repeated.deviation:.2f}"
        note = f"mean of {counted(len(repeated.seeds), 'other seed')}{spread}; the only test"
        found.append(("Test accuracy", percent(repeated.test_accuracy), note))
    return found


def _cells(trial: TrialResult, result: SweepResult) -> list[tuple[str, object, bool]]:
    """Title, value, and whether it stands to the right."""
    epoch = f"{trial.val_epoch}/{trial.epochs}" if trial.epochs else DASH
    drawn = [(name, trial.settings.get(name)) for name in result.search]
    return [
        ("Validation", percent(trial.val_accuracy), True),
        ("Best epoch", epoch, True),
        *((option(name), spelled(value), not isinstance(value, str)) for name, value in drawn),
    ]
