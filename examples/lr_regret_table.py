"""The tables of examples/lr_regret.py, from its runs: pure functions of numbers, in points of accuracy."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean

EFFORTS = ("quick", "normal", "thorough")
GUESSING = 10.0


@dataclass(frozen=True)
class Accuracies:
    """The accuracies of a cell, in points, by rate and seed."""

    of: Mapping[float, Mapping[int, float]]

    def seeds(self) -> list[int]:
        return sorted({seed for by_seed in self.of.values() for seed in by_seed})

    def mean(self, lr: float, without: int | None = None) -> float:
        return mean(accuracy for seed, accuracy in self.of[lr].items() if seed != without)

    def best(self, without: int | None = None) -> float:
        """The rate with the best mean over all seeds, or all but one; of those that every seed has tried."""
        whole = [lr for lr, by_seed in self.of.items() if len(by_seed) == len(self.seeds())]
        return max(whole, key=lambda lr: self.mean(lr, without))

    def promising(self, within: float) -> list[float]:
        """The rates whose mean is within so many points of the best mean of any."""
        best = max(map(self.mean, self.of))
        return sorted(lr for lr in self.of if self.mean(lr) > best - within)

    @property
    def judged(self) -> float:
        """The mean accuracy of the rates that are best by the other seeds, each with the seed that is left."""
        return mean(self.of[self.best(without=seed)][seed] for seed in self.seeds())

    @property
    def floor(self) -> float:
        """What noise alone costs: the best mean minus `judged`."""
        return self.mean(self.best()) - self.judged

    def at(self, lr: float) -> float:
        """The mean accuracy at a rate, interpolated along its logarithm; far outside of what was tried, guessing."""
        rates = sorted(self.of)
        if lr < rates[0] / 1.35 or lr > rates[-1] * 1.35:
            return GUESSING
        above = next((i for i, rate in enumerate(rates) if rate >= lr), len(rates) - 1)
        low, high = rates[max(above - 1, 0)], rates[above]
        share = 1.0 if low == high else min(max(math.log(lr / low) / math.log(high / low), 0.0), 1.0)
        return (1 - share) * self.mean(low) + share * self.mean(high)

    def excess(self, rates: Sequence[float]) -> float:
        """What suggestions cost beyond the floor; may be negative by chance."""
        return self.judged - mean(map(self.at, rates))


def by_cell(runs: list[dict[str, str]]) -> dict[str, Accuracies]:
    """The accuracies of every cell."""
    cells: dict[str, dict[float, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    for run in runs:
        cells[run["cell"]][float(run["lr"])][int(run["seed"])] = 100 * float(run["accuracy"])
    return {cell: Accuracies({lr: dict(by_seed) for lr, by_seed in of.items()}) for cell, of in cells.items()}


def by_rule(suggestions: list[dict[str, str]]) -> dict[str, dict[str, list[float]]]:
    """The rates that each rule suggests, by rule and cell."""
    rules: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in suggestions:
        rules[row["rule"]][row["cell"]].append(float(row["lr"]))
    return rules


def tables(
    halves: Mapping[str, Sequence[str]], cells: Mapping[str, Accuracies], suggestions: list[dict[str, str]]
) -> str:
    """Markdown: what every rule costs, on the cells seen and unseen apart, and in each cell."""
    rules = by_rule(suggestions)
    excess = {rule: {cell: cells[cell].excess(rates) for cell, rates in of.items()} for rule, of in rules.items()}
    names = sorted(rules, key=lambda rule: mean(excess[rule][cell] for cell in halves["unseen"]))
    steps = {rule: mean(float(row["steps"]) for row in suggestions if row["rule"] == rule) for rule in EFFORTS}
    trainings = sum(len(by_seed) for cell in cells.values() for by_seed in cell.of.values())
    floors = {half: mean(cells[cell].floor for cell in of) for half, of in halves.items()}
    return "\n".join(
        [
            *_summary(halves, excess, names, steps),
            "",
            f"Points of test accuracy beyond the floor. The floor, what noise alone costs, is "
            f"{floors['unseen']:.2f} on the unseen cells and {floors['seen']:.2f} on the seen ones. "
            f"{len(cells)} cells, {trainings} trainings.",
            "",
            *_by_cell(halves, cells, excess, rules, names),
            "",
        ]
    )


def _summary(
    halves: Mapping[str, Sequence[str]],
    excess: Mapping[str, Mapping[str, float]],
    names: list[str],
    steps: Mapping[str, float],
) -> list[str]:
    def row(rule: str) -> list[str]:
        unseen, seen = ([excess[rule][cell] for cell in halves[half]] for half in ("unseen", "seen"))
        told = f"**--effort {rule}** ({steps[rule]:.0f} steps)" if rule in EFFORTS else rule
        return [told, *(f"{value:.2f}" for value in (mean(unseen), max(unseen), mean(seen), max(seen)))]

    return _table(["rule", "unseen cells", "worst", "seen cells", "worst"], map(row, names))


def _by_cell(
    halves: Mapping[str, Sequence[str]],
    cells: Mapping[str, Accuracies],
    excess: Mapping[str, Mapping[str, float]],
    rules: Mapping[str, Mapping[str, Sequence[float]]],
    names: list[str],
) -> list[str]:
    def row(half: str, cell: str) -> list[str]:
        known = cells[cell]
        best = known.best()
        costs = [f"{excess[rule][cell]:.1f} at {'; '.join(f'{lr:.2g}' for lr in rules[rule][cell])}" for rule in names]
        return [half, cell, f"{known.mean(best):.1f} % at {best:.2g}", f"{known.floor:.1f}", *costs]

    rows = (row(half, cell) for half in ("unseen", "seen") for cell in halves[half])
    return _table(["half", "cell", "best", "floor", *names], rows)


def _table(columns: list[str], rows) -> list[str]:
    return ["| " + " | ".join(row) + " |" for row in (columns, ["---"] * len(columns), *rows)]
