"""What the page of a comparison shows."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from evacli.comparing.columns import COSTS, RESULTS, SETTINGS, Column, is_setting, named
from evacli.comparing.result import ComparedRun, Comparison, winners
from evacli.config import option
from evacli.figures.comparison import LOOKS, Look
from evacli.formats import duration, loss, percent, spelled
from evacli.pages.render import embed, render

MOST_NAMES = 200  # images that the page lists of a kind


class Cell(NamedTuple):
    """A cell of a table; `best` if no run has a better value."""

    title: str
    value: object
    is_number: bool
    best: bool = False


# A card for each: title, with the split that chose the epochs, column, and how its value is spelled.
_CARDS: tuple[tuple[str, str, Callable[[ComparedRun], str]], ...] = (
    ("Top {chosen_by} accuracy", "top_accuracy", lambda run: percent(run.top_accuracy)),
    ("Best test accuracy", "test_accuracy", lambda run: percent(run.test_accuracy)),
    ("Lowest test loss", "final_test_loss", lambda run: loss(run.final_test_loss)),
    ("Shortest training", "seconds", lambda run: duration(run.seconds)),
)


def render_page(comparison: Comparison, by_epoch: bytes, by_time: bytes) -> str:
    """Render the page as HTML; the pictures are PNGs without a legend, which the tables are."""
    runs = comparison.runs
    same = [(name, value) for name, value in comparison.same.items() if value is not None]
    return render(
        "compare.html",
        title=_title(comparison),
        comparison=comparison,
        notices=comparison.notices,
        cards=_cards(runs),
        pictures={"epochs": embed(by_epoch), "time": embed(by_time)},
        lines=list(map(_line, LOOKS)),
        figures=[(run, [_cell(column, run, runs) for column in (*RESULTS, *COSTS, *SETTINGS)]) for run in runs],
        most_names=MOST_NAMES,
        differing=[(run, [Cell(named(n), spelled(v), False) for n, v in run.settings.items()]) for run in runs],
        same=[(option(name), spelled(value)) for name, value in same if is_setting(name)],
        environment=[(name, value) for name, value in same if not is_setting(name)],
    )


def _title(comparison: Comparison) -> str:
    data = comparison.same.get("data")
    return f"{len(comparison.runs)} runs" + (f" on {data}" if data else "")


def _cell(column: Column, run: ComparedRun, runs: list[ComparedRun]) -> Cell:
    best = any(winner is run for winner in winners(runs, column.name))
    return Cell(column.title, column.shown(run), column.is_number, best)


def _cards(runs: list[ComparedRun]) -> list[tuple[str, str, str]]:
    # Where splits differ, no top accuracy is the best; where the test images chose all epochs, it is the test accuracy.
    splits = sorted({run.chosen_by for run in runs})
    superfluous = "test_accuracy" if splits == ["test"] else ""
    cards = [card for card in _CARDS if card[1] != superfluous]
    found = [(title.format(chosen_by=splits[0]), shown, winners(runs, column)) for title, column, shown in cards]
    return [(title, shown(best[0]), _names(best)) for title, shown, best in found if best]


def _names(runs: Sequence[ComparedRun]) -> str:
    return ", ".join(run.label for run in runs)


def _line(look: Look) -> tuple[str, str]:
    """Stroke and dash array of an SVG line of twice the usual width."""
    return look.color, " ".join(f"{2 * length:g}" for length in look.dashes)
