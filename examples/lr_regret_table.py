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
        return max(
            (rate for rate in others if seed in accuracies[rate] and others[rate]), key=lambda r: mean(others[r])
        )

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
    """Markdown: the mean regret of every rule, the regret of each in every cell, and how far to trust them."""
    cells = by_cell(runs)
    rules = list(next(iter(suggested.values())))

    def over_cells(measure: object) -> dict[str, dict[Cell, float]]:
        return {rule: {c: measure(a, f"{suggested[c][rule]:.6g}") for c, a in cells.items()} for rule in rules}

    regrets, unbiased = over_cells(regret), over_cells(unbiased_regret)
    order = sorted(rules, key=lambda rule: mean(regrets[rule].values()))
    rate, chosen = left_out(regrets, [rule for rule in rules if rule not in rivals])
    trainings = sum(len(by_seed) for accuracies in cells.values() for by_seed in accuracies.values())
    return "\n".join(
        [
            *_table(
                ["rule", "mean regret", "unbiased", "worst"],
                [
                    [
                        f"**{rule}** (default)" if rule == default else rule,
                        *(
                            f"{value:.2f}"
                            for value in (
                                mean(regrets[rule].values()),
                                mean(unbiased[rule].values()),
                                max(regrets[rule].values()),
                            )
                        ),
                    ]
                    for rule in order
                ],
            ),
            "",
            f"{trainings} trainings in {len(cells)} cells. Two trainings that differ in their seed only differ by "
            f"{noise(cells):.2f} points (standard deviation, near the best rates).",
            f"Choosing among our rules by all other cells gives {rate:.2f} points in the one left out "
            f"({', '.join(sorted(chosen))}).",
            "",
            *_table(
                ["cell", "best rate", "accuracy", *order],
                [
                    [", ".join(cell), *_best(accuracies), *(_shown(suggested, regrets, rule, cell) for rule in order)]
                    for cell, accuracies in cells.items()
                ],
            ),
            "",
        ]
    )


def _best(accuracies: Accuracies) -> tuple[str, str]:
    best = min(accuracies, key=lambda lr: regret(accuracies, lr))
    return f"{float(best):.2g}", f"{mean(accuracies[best].values()):.1f} %"


def _shown(
    suggested: Mapping[Cell, Mapping[str, float]], regrets: Mapping[str, Mapping[Cell, float]], rule: str, cell: Cell
) -> str:
    return f"{regrets[rule][cell]:.1f} ({suggested[cell][rule]:.2g})"


def _table(columns: list[str], rows: list[list[str]]) -> list[str]:
    return ["| " + " | ".join(row) + " |" for row in (columns, ["---"] * len(columns), *rows)]
