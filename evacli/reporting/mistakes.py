"""The wrong predictions as a table."""

import csv
import io
import re
from collections.abc import Sequence

from evacli.data.types import Split
from evacli.evaluation import Predictions

COLUMNS = (
    "index",
    "file",
    "true_class",
    "predicted_class",
    "true_probability",
    "predicted_probability",
    "loss",
)
# With these a spreadsheet takes a cell for a formula (OWASP, "CSV injection"); the last four are the full-width forms.
_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def worst_first(predictions: Predictions) -> list[int]:
    """Indices of the wrongly predicted images, highest loss first, equal ones by index."""
    losses = predictions.losses
    return sorted(predictions.mistakes.tolist(), key=lambda i: (-losses[i], i))


def to_csv(predictions: Predictions, split: Split, class_names: Sequence[str]) -> str:
    """A line for each mistake, the worst first, under a header line.

    Text that a spreadsheet would take for a formula gets an apostrophe in front; control characters are spelled out, so
    that each mistake is one line.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for i in worst_first(predictions):
        label, predicted = predictions.labels[i], predictions.predicted[i]
        texts = split.names[i], class_names[label], class_names[predicted]
        numbers = [*predictions.probabilities[i, [label, predicted]], predictions.losses[i]]
        writer.writerow([i, *map(harmless, texts), *(f"{number:.6g}" for number in numbers)])
    return out.getvalue()


def harmless(cell: str) -> str:
    """`cell` so that no spreadsheet evaluates it and no terminal obeys it."""
    shown = _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), cell)
    return f"'{shown}" if shown.startswith(_FORMULA) else shown
