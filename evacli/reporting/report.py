"""The report: what a training came to, in numbers, pictures and one page."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from evacli import console
from evacli.config import Config
from evacli.reporting.result import ReportResult
from evacli.run import config_file, history, summary
from evacli.run.directory import DEFAULT_RUN, RunDir, write_text_atomically
from evacli.run.history import Row
from evacli.run.summary import Summary

# NumPy, Keras and matplotlib are imported once the run is known to be a trained one.
if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from evacli.data.types import Data
    from evacli.evaluation import Predictions

MISTAKES_SHOWN = 24
# The best model's accuracy here and when it was saved: apart by more, the file is not from that epoch.
SAME_ACCURACY = 0.01


@dataclass(frozen=True)
class _Record:
    """What the run has stored."""

    run: RunDir
    settings: Config
    trained: Summary
    rows: list[Row]


@dataclass(frozen=True)
class _Evidence:
    """What the best model says about the data; `confusions` is (C, C), row: true class."""

    data: "Data"
    test: "Predictions"
    shifted_accuracy: float | None
    confusions: "NDArray[np.int64]"
    train_accuracy: float
    notices: list[str]


def report(run: str | Path = DEFAULT_RUN, *, shifts: bool = False) -> ReportResult:
    """Evaluate the run's best model and writes `report.html`, two pictures and the table of mistakes into the run.

    Args:
        run: the run directory, in which `train` has finished at least one epoch.
        shifts: whether to say as well how the model does if each test image is evaluated together with shifted copies.

    Returns:
        The figures of the report.

    Raises:
        RunError: if the run is not trained or its files cannot be used.
        DataError: if the data cannot be read, or has other classes than the run.
    """
    record = _read(RunDir(run))
    evidence = _examine(record, shifts)
    result = _conclude(record, evidence)
    _write_pictures(record, evidence)
    _write_texts(record, evidence, result)
    return result


def _read(run: RunDir) -> _Record:
    run.require_trained()
    rows = history.read_csv(run.history)
    return _Record(run, config_file.read(run) or Config(), summary.read(run), rows)


def _examine(record: _Record, shifts: bool) -> _Evidence:
    from evacli import data, evaluation
    from evacli.reporting import metrics

    model = evaluation.judge(evaluation.load_best(record.run))
    images = data.load(record.settings)
    difference = evaluation.check_data(record.trained, images)
    mirror = record.settings.uses_tta
    test, train = (
        evaluation.Predictions(evaluation.predict(model, split.images, name, mirror=mirror), split.labels)
        for split, name in ((images.test, "test images"), (images.train, "training images"))
    )
    shifted = None
    if shifts:
        answers = evaluation.predict_shifted(
            model, images.test.images, "shifted test images", test.probabilities, mirror=mirror
        )
        shifted = evaluation.Predictions(answers, test.labels).accuracy
    confusions = metrics.count_confusions(test.labels, test.predicted, images.num_classes)
    notices = [text for text in (_state(record), difference or _mismatch(record.trained, test)) if text]
    for text in notices:
        console.warn(text)
    return _Evidence(images, test, shifted, confusions, train.accuracy, notices)


def _state(record: _Record) -> str:
    done = f"{record.trained.epochs_done} of {record.settings.epochs} epochs"
    return {
        "finished": "",
        "unfinished": f"The training is unfinished: {done} are done.",
        "failed": f"The training failed after {done}: its loss was no longer finite.",
    }[record.trained.state]


def _mismatch(trained: Summary, test: "Predictions") -> str:
    tolerance = max(SAME_ACCURACY, 1.5 / len(test.labels))  # one image may fall on the other side by rounding
    if abs(test.accuracy - trained.test_accuracy) <= tolerance:
        return ""
    return (
        f"The saved model reaches {test.accuracy:.2%} on the test images, not the {trained.test_accuracy:.2%} "
        f"that the training measured at epoch {trained.top_epoch}."
    )


def _conclude(record: _Record, evidence: _Evidence) -> ReportResult:
    from evacli.reporting import metrics

    test, names = evidence.test, record.trained.class_names
    return ReportResult(
        run=str(record.run.path),
        report=str(record.run.report),
        misclassified=str(record.run.misclassified),
        top_accuracy=record.trained.top_accuracy,
        top_epoch=record.trained.top_epoch,
        chosen_by=record.trained.chosen_by,
        choice=record.trained.choice,
        tta=record.settings.uses_tta,
        test_accuracy=test.accuracy,
        shifted_accuracy=evidence.shifted_accuracy,
        train_accuracy=evidence.train_accuracy,
        test_images=len(test.labels),
        mistakes=len(test.mistakes),
        classes=metrics.score_classes(test.labels, test.predicted, names),
        most_confused=metrics.most_confused(evidence.confusions, names),
    )


def _write_pictures(record: _Record, evidence: _Evidence) -> None:
    from evacli.figures.confusion import draw_confusion
    from evacli.figures.curves import draw_curves
    from evacli.figures.style import save

    run, trained = record.run, record.trained
    save(draw_curves(record.rows, trained.top_epoch, trained.chosen_by, trained.tta), run.curves_png)
    save(draw_confusion(evidence.confusions, trained.class_names), run.confusion_png)


def _write_texts(record: _Record, evidence: _Evidence, result: ReportResult) -> None:
    from evacli.pages.render import render
    from evacli.reporting import mistakes, page

    run, trained, settings = record.run, record.trained, record.settings
    test, split, names = evidence.test, evidence.data.test, trained.class_names
    write_text_atomically(run.misclassified, mistakes.to_csv(test, split, names))
    html = render(
        "report.html",
        title=page.title(trained, settings),
        result=result,
        trained=trained,
        notices=evidence.notices,
        cards=page.cards(result, trained),
        pictures={
            "curves": page.picture(run.curves_png),
            "confusion": page.picture(run.confusion_png),
            "lr_find": page.picture(run.lr_find_png),
            "gradcam": page.picture(run.gradcam_png, photographic=True),
        },
        gallery=page.gallery(test, split, names, mistakes.worst_first(test)[:MISTAKES_SHOWN]),
        settings=page.settings_table(trained, settings),
        environment=sorted(trained.versions.items()),
    )
    write_text_atomically(run.report, html)
