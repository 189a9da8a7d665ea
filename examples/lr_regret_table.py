"""The tables of examples/lr_regret.py, from its runs: pure functions of numbers, in points of accuracy."""

import math
from collections import defaultdict
from collections.abc import Mapping
from statistics import mean, variance

Cell = tuple[str, str]  # task, optimizer
Accuracies = dict[str, dict[int, float]]  # by rate and seed, in points


def by_cell(runs: list[dict[str, str]]) -> dict[Cell, Accuracies]:
    """The accuracies of every cell."""
    cells: dict[Cell, Accuracies] = defaultdict(lambda: defaultdict(dict))
    for run in runs:
        cells[run["task"], run["optimizer"]][run["lr"]][int(run["seed"])] = 100 * float(run["accuracy"])
    return {cell: dict(accuracies) for cell, accuracies in cells.items()}


def regret(accuracies: Accuracies, lr: str) -> float:
    """Best mean accuracy of all rates minus that of `lr`."""
    means = {rate: mean(by_seed.values()) for rate, by_seed in accuracies.items()}
    return max(means.values()) - means[lr]


def unbiased_regret(accuracies: Accuracies, lr: str) -> float:
    """As `regret`, but each seed judges the rate that is best by the others; may be negative by chance."""

    def best_by_others(seed: int) -> str:
        others = {rate: [a for s, a in by_seed.items() if s != seed] for rate, by_seed in accuracies.items()}
        tried = [rate for rate in accuracies if seed in accuracies[rate] and others[rate]]
        return max(tried, key=lambda rate: mean(others[rate]))

    return mean(accuracies[best_by_others(seed)][seed] - accuracy for seed, accuracy in accuracies[lr].items())


def noise(cells: Mapping[Cell, Accuracies], near: float = 5) -> float:
    """The standard deviation between seeds, pooled over the rates whose mean is within `near` points of the best."""
    spreads = [
        variance(by_seed.values())
        for accuracies in cells.values()
        for lr, by_seed in accuracies.items()
        if len(by_seed) > 1 and regret(accuracies, lr) <= near
    ]
    return math.sqrt(mean(spreads))


def left_out(regrets: Mapping[str, Mapping[Cell, float]], rules: list[str]) -> tuple[float, set[str]]:
    """Mean regret where in each cell the rule is used that has the least mean regret in all others; those rules."""
    cells = list(next(iter(regrets.values())))

    def chosen(cell: Cell) -> str:
        return min(rules, key=lambda rule: mean(r for other, r in regrets[rule].items() if other != cell))

    return mean(regrets[chosen(cell)][cell] for cell in cells), {chosen(cell) for cell in cells}


def tables(
    runs: list[dict[str, str]], suggested: Mapping[Cell, Mapping[str, float]], default: str, rivals: list[str]
) -> str:
    """Markdown: the regret of every rule, overall and in each cell of at least two seeds, and how far to trust it."""
    cells = {cell: found for cell, found in by_cell(runs).items() if max(map(len, found.values())) > 1}
    rules = list(next(iter(suggested.values())))
    regrets, unbiased = (
        {rule: {cell: measure(cells[cell], f"{suggested[cell][rule]:.6g}") for cell in cells} for rule in rules}
        for measure in (regret, unbiased_regret)
    )
    rules.sort(key=lambda rule: mean(regrets[rule].values()))
    trainings = sum(len(by_seed) for accuracies in cells.values() for by_seed in accuracies.values())
    without, chosen = left_out(regrets, [rule for rule in rules if rule not in rivals])
    return "\n".join(
        [
            *_summary(regrets, unbiased, rules, default),
            "",
            f"{len(cells)} cells, {trainings} trainings. Near the best rates two trainings that differ in nothing but "
            f"the seed have accuracies with a standard deviation of {noise(cells):.2f} points.",
            f"If each cell took that rule of ours which is best in all the others ({', '.join(sorted(chosen))}), mean "
            f"regret would be {without:.2f}.",
            "",
            *_by_cell(cells, regrets, suggested, rules),
            "",
        ]
    )


def _summary(
    regrets: Mapping[str, Mapping[Cell, float]],
    unbiased: Mapping[str, Mapping[Cell, float]],
    rules: list[str],
    default: str,
) -> list[str]:
    names = list(dict.fromkeys(task for task, _ in regrets[default]))

    def row(rule: str) -> list[str]:
        everywhere = regrets[rule].values()
        by_task = [mean(r for (task, _), r in regrets[rule].items() if task == name) for name in names]
        values = [mean(everywhere), mean(unbiased[rule].values()), max(everywhere), *by_task]
        return [f"**{rule}** (evacli's)" if rule == default else rule, *(f"{value:.2f}" for value in values)]

    return _table(["rule", "mean regret", "unbiased", "worst cell", *names], [row(rule) for rule in rules])


def _by_cell(
    cells: Mapping[Cell, Accuracies],
    regrets: Mapping[str, Mapping[Cell, float]],
    suggested: Mapping[Cell, Mapping[str, float]],
    rules: list[str],
) -> list[str]:
    def row(cell: Cell, accuracies: Accuracies) -> list[str]:
        best = min(accuracies, key=lambda lr: regret(accuracies, lr))
        costs = [f"{regrets[rule][cell]:.1f} at {suggested[cell][rule]:.2g}" for rule in rules]
        return [", ".join(cell), f"{mean(accuracies[best].values()):.1f} % at {float(best):.2g}", *costs]

    return _table(["cell", "best", *rules], [row(cell, accuracies) for cell, accuracies in cells.items()])


def _table(columns: list[str], rows: list[list[str]]) -> list[str]:
    return ["| " + " | ".join(row) + " |" for row in (columns, ["---"] * len(columns), *rows)]
