"""From the journal of a sweep to what it says."""

from collections.abc import Mapping
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from evacli.config import command
from evacli.sweeping.files import SweepDir
from evacli.sweeping.plan import Plan
from evacli.sweeping.result import Repeated, State, SweepResult, TrialResult
from evacli.sweeping.search import Range
from evacli.sweeping.trials import DIVERGED, WHY, Trials, importance

BEST_RUN = "runs/best"
_STATES: Mapping[TrialState, State] = {
    TrialState.COMPLETE: "finished",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}


def results(files: SweepDir, plan: Plan, trials: Trials) -> list[TrialResult]:
    """Return the trials, those that came to their end first, the best of them before the others."""
    found = [_result(files, plan, trial) for trial in trials.all()]
    return sorted(found, key=lambda trial: (trial.state != "finished", -(trial.val_accuracy or 0.0), trial.number))


def best(found: list[TrialResult]) -> TrialResult | None:
    """Return the best of `results` that came to its end."""
    return next((trial for trial in found if trial.state == "finished"), None)


def conclude(files: SweepDir, plan: Plan, trials: Trials, repeated: Repeated | None) -> SweepResult:
    """Return all that the sweep says."""
    found, epochs = results(files, plan, trials), plan.config.epochs
    winner = best(found)
    return SweepResult(
        sweep=str(files.path),
        trials=found,
        best=winner.number if winner else None,
        epochs=epochs,
        search=plan.search,
        settings=plan.settings,
        importance=importance(trials),
        command=command(BEST_RUN, plan.on_all_images(winner.settings)) if winner else "",
        train_on=command(winner.run, {"epochs": 2 * epochs}) if winner else "",
        repeated=repeated,
        table=str(files.table),
        page=str(files.page),
    )


def _result(files: SweepDir, plan: Plan, trial: FrozenTrial) -> TrialResult:
    curve = {epoch: trial.intermediate_values[epoch] for epoch in sorted(trial.intermediate_values)}
    top = max(curve, key=lambda epoch: (curve[epoch], -epoch), default=0)
    why = str(trial.user_attrs.get(WHY, ""))
    return TrialResult(
        number=trial.number,
        run=str(files.trial(trial.number).path),
        state="diverged" if why == DIVERGED else _STATES.get(trial.state, "under way"),
        settings=_settings(plan, trial.params),
        val_accuracy=curve.get(top),
        val_epoch=top,
        curve=curve,
        why="" if why == DIVERGED else why,
    )


def _settings(plan: Plan, params: Mapping[str, Any]) -> dict[str, Any]:
    space = plan.space
    found: dict[str, Any] = {}
    for name in space:
        if name in params:
            searched, value = space[name], params[name]
            is_fraction = isinstance(searched, Range) and isinstance(value, float)
            found[name] = searched.rounded(value) if is_fraction else value  # type: ignore[union-attr]
    return found
