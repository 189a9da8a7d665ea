"""Which test images one run gets right and another does not, from the tables of mistakes that their reports left."""

from collections.abc import Sequence

from evacli.comparing.result import Disagreement
from evacli.comparing.runs import TrainedRun
from evacli.run import tables

MOST_BYTES = 2**28  # of a table of mistakes: a million of them


def disagreements(runs: Sequence[TrainedRun]) -> list[Disagreement]:
    """Compare each run with the one of the fewest mistakes, image by image.

    Args:
        runs: those that have no report, or were tested on other images than most, are left out.

    Returns:
        One for each run but the best, by McNemar's exact test; none where fewer than two can be compared.
    """
    compared = {run.label: (run, table) for run in runs if (table := _mistakes(run)) is not None}
    data = [run.trained.data_fingerprint for run, _ in compared.values()]
    common = max(data, key=data.count, default="")
    alike = {label: table for label, (run, table) in compared.items() if run.trained.data_fingerprint == common}
    if len(alike) < 2:
        return []
    best = min(alike, key=lambda label: len(alike[label]))
    return [_disagreement(label, best, table, alike[best]) for label, table in alike.items() if label != best]


def _mistakes(run: TrainedRun) -> dict[int, str] | None:
    """Return the names of the images that a run got wrong by their index; None where its report left no table."""
    try:
        return {int(row["index"]): row["file"] for row in tables.read(run.directory.misclassified, MOST_BYTES)}
    except tables.UNREADABLE:
        return None


def _disagreement(label: str, best: str, wrong: dict[int, str], best_wrong: dict[int, str]) -> Disagreement:
    from scipy.stats import binomtest

    only_run = [best_wrong[i] for i in sorted(best_wrong.keys() - wrong.keys())]
    only_best = [wrong[i] for i in sorted(wrong.keys() - best_wrong.keys())]
    differing = len(only_run) + len(only_best)
    chance = float(binomtest(len(only_run), differing).pvalue) if differing else 1.0
    return Disagreement(run=label, best=best, only_run=only_run, only_best=only_best, p_value=chance)
