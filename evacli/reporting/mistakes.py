"""The wrong predictions as a table."""

from collections.abc import Sequence

from evacli import spreadsheet
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


def to_csv(predictions: Predictions, split: Split, class_names: Sequence[str]) -> str:
    """Return a line for each mistake, the worst first, under a header line."""

    def cells(i: int) -> list[object]:
        label, predicted = predictions.labels[i], predictions.predicted[i]
        numbers = [*predictions.probabilities[i, [label, predicted]], predictions.losses[i]]
        return [i, split.names[i], class_names[label], class_names[predicted], *(f"{number:.6g}" for number in numbers)]

    return spreadsheet.to_csv(COLUMNS, map(cells, predictions.worst_first))
