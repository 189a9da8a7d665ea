"""The report: what a training came to, in numbers, pictures and one page."""

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from evacli import console, devices
from evacli.devices import Device
from evacli.errors import RunError
from evacli.notebook import drawn
from evacli.reporting.result import ReportResult
from evacli.run import history, summary, trained
from evacli.run.directory import DEFAULT_RUN, RunDir, write_text_atomically
from evacli.run.history import Row
from evacli.run.locking import drawing
from evacli.run.summary import ending
from evacli.run.trained import Trained

# NumPy, Keras and matplotlib are imported once the run is known to be a trained one.
if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from evacli.doubting.duplicates import Duplicate
    from evacli.evaluation import EvaluatedRun
    from evacli.reporting.explorer import Near

MISTAKES_SHOWN = 24  # without scripts
DUPLICATES_SHOWN = 12
# The best model's accuracy here and when it was saved: apart by more, the file is not from that epoch.
SAME_ACCURACY = 0.01


@dataclass(frozen=True)
class _Evidence:
    """What the report rests on; `peaks` is the highest rate of each epoch, `confusions` (C, C), row: true class."""

    run: "EvaluatedRun"
    rows: list[Row]
    peaks: list[float | None]
    shifted_accuracy: float | None
    confusions: "NDArray[np.int64]"
    duplicates: "list[Duplicate]"
    near: "Near | None"
    notices: list[str]


def report(
    run: str | Path = DEFAULT_RUN,
    *,
    data: "str | os.PathLike[str] | None" = None,
    shifts: bool = False,
    gradcam: bool = True,
    nearest: bool = True,
    device: Device = "auto",
) -> ReportResult:
    """Evaluate the run's best model and write `report.html`, its pictures and the table of mistakes into the run.

    Args:
        run: the run directory, in which `train` has finished at least one epoch.
        data: where the data of the run lies now, if it has moved; the run remembers.
        shifts: whether to say as well how the model does if each test image is evaluated together with shifted copies.
        gradcam: whether to draw what `evacli.gradcam` draws, if the run does not have it yet.
        nearest: whether to show beside mistakes the training images that the network takes to be most like them.
        device: "cpu", "gpu", or "auto": a GPU where TensorFlow can use one.

    Returns:
        The figures of the report.

    Raises:
        RunError: if the run is not trained or its files cannot be used.
        DataError: if the data cannot be read, or is not what the run was trained on.

    Example:
        >>> report("runs/first").mistakes
        7
    """
    devices.want(device)
    stored = trained.read(RunDir(run))
    from evacli.explaining.explain import explain_worst

    evidence = _examine(stored, history.read_csv(stored.directory.history), shifts, nearest, data)
    result = drawn(_conclude(evidence), partial(_curves, evidence))
    with drawing(stored.directory):
        if gradcam and not stored.directory.gradcam_png.exists():
            explain_worst(evidence.run)
        _write_pictures(evidence)
        _write_texts(evidence, result)
    from evacli.training.trackers.following import hand_over

    hand_over(stored.directory, [stored.directory.curves_png, stored.directory.report])
    return result


def _examine(
    stored: Trained, rows: list[Row], shifts: bool, nearest: bool, moved_to: "str | os.PathLike[str] | None"
) -> _Evidence:
    from evacli import evaluation, metrics
    from evacli.doubting import duplicates

    run = evaluation.open_run(stored, moved_to)
    confusions = metrics.count_confusions(run.test.labels, run.test.predicted, run.data.num_classes)
    near = _near(run) if nearest else None
    _ = run.train  # the long work at once, and before anything is drawn
    shifted = run.shifted_test.accuracy if shifts else None
    copies = duplicates.find(run.data.train.images, run.data.test.images)
    state = ending(run.trained.state, "The training", run.trained.epochs_done, run.config.epochs)
    notices = [text for text in (state, run.difference or _mismatch(run)) if text]
    for text in notices:
        console.warn(text)
    return _Evidence(run, rows, _peaks(stored, rows), shifted, confusions, copies, near, notices)


def _near(run: "EvaluatedRun") -> "Near | None":
    from evacli.explaining.neighbours import neighbours
    from evacli.reporting.explorer import NEAR, Near

    worst = run.test.worst_first[:NEAR]
    return Near(run.data.train, worst, neighbours(run, worst)) if worst else None


def _peaks(stored: Trained, rows: list[Row]) -> list[float | None]:
    from evacli.run import checkpoint
    from evacli.training.batching import Batching
    from evacli.training.rate_control import RateControl

    trained = stored.summary
    try:
        progress = checkpoint.load_progress(stored.directory)
    except RunError:  # the report does without it
        progress = None
    base_lr = progress.base_lr if progress else stored.config.base_lr
    return RateControl(Batching(stored.config, trained.train_images), trained.lr, base_lr).peaks(rows)


def _mismatch(run: "EvaluatedRun") -> str:
    trained, test = run.trained, run.test
    tolerance = max(SAME_ACCURACY, 1.5 / len(test.labels))  # one image may fall on the other side by rounding
    if abs(test.accuracy - trained.test_accuracy) <= tolerance:
        return ""
    return (
        f"The saved model reaches {test.accuracy:.2%} on the test images, not the {trained.test_accuracy:.2%} "
        f"that the training measured at epoch {trained.top_epoch}."
    )


def _conclude(evidence: _Evidence) -> ReportResult:
    from evacli import metrics
    from evacli.reporting import signs
    from evacli.reporting.advice import advise
    from evacli.reporting.obstacles import obstacles

    run, test, trained = evidence.run, evidence.run.test, evidence.run.trained
    names, data = trained.class_names, run.data
    classes = metrics.score_classes(test.labels, test.predicted, names)
    return ReportResult(
        run=str(run.run.path),
        report=str(run.run.report),
        misclassified=str(run.run.misclassified),
        top_accuracy=trained.top_accuracy,
        top_epoch=trained.top_epoch,
        chosen_by=trained.chosen_by,
        choice=trained.choice,
        tta=run.config.uses_tta,
        test_accuracy=test.accuracy,
        plain_accuracy=run.plain_test.accuracy,
        shifted_accuracy=evidence.shifted_accuracy,
        train_accuracy=run.train.accuracy,
        obstacles=obstacles(run.config, run.network),
        train_images=len(data.train),
        validation_images=len(data.validation or ()),
        test_images=len(test.labels),
        mistakes=len(test.mistakes),
        duplicates=len(evidence.duplicates),
        exact_duplicates=sum(pair.exact for pair in evidence.duplicates),
        accuracy_without_duplicates=test.accuracy_without([pair.test for pair in evidence.duplicates]),
        balanced_accuracy=metrics.balanced_accuracy(classes),
        macro_f1=metrics.macro_f1(classes),
        classes=classes,
        most_confused=metrics.most_confused(evidence.confusions, names),
        advice=advise(signs.read(run, evidence.rows, evidence.confusions)),
    )


def _curves(evidence: _Evidence) -> "Figure":
    from evacli.figures.curves import draw_curves

    trained = evidence.run.trained
    return draw_curves(evidence.rows, trained.top_epoch, trained.chosen_by, tta=trained.tta, peaks=evidence.peaks)


def _write_pictures(evidence: _Evidence) -> None:
    from evacli.figures.confusion import draw_confusion
    from evacli.figures.style import save

    run, trained = evidence.run.run, evidence.run.trained
    save(_curves(evidence), run.curves_png)
    save(draw_confusion(evidence.confusions, trained.class_names), run.confusion_png)


def _write_texts(evidence: _Evidence, result: ReportResult) -> None:
    from evacli import metrics
    from evacli.doubting import duplicates
    from evacli.doubting import section as suspects
    from evacli.embedding import picture
    from evacli.explaining.section import section
    from evacli.pages.render import inert, render
    from evacli.reporting import charts, mistakes, page
    from evacli.reporting.explorer import explorer

    run, trained, settings = evidence.run.run, evidence.run.trained, evidence.run.config
    test, split, names = evidence.run.test, evidence.run.data.test, trained.class_names
    train, copies = evidence.run.data.train, evidence.duplicates
    write_text_atomically(run.misclassified, mistakes.to_csv(test, split, names))
    write_text_atomically(run.duplicates, duplicates.to_csv(copies, train, split, names))
    advised = page.advised(result.advice, settings)
    summary.advise(run, tuple(advised))
    explored = explorer(result, test, split, evidence.confusions, evidence.near)
    html = render(
        "report.html",
        script="report.js",
        title=page.title(trained, settings),
        result=result,
        advised=advised,
        trained=trained,
        notices=evidence.notices,
        cards=page.cards(result, trained, metrics.accuracy_interval(test)),
        charts=charts.curves(evidence.rows, trained.top_epoch, evidence.peaks),
        matrix=page.matrix(evidence.confusions),
        indices={name: i for i, name in enumerate(names)},
        bins=metrics.calibration(test),
        calibration_error=metrics.calibration_error(test),
        explorer=explored,
        given=inert(explored.document),
        changed=page.changed(trained, settings, evidence.run.data),
        classes=page.ordered(result),
        pictures={
            "confusion": picture(run.confusion_png) if result.many_classes else None,
            "lr_find": picture(run.lr_find_png),
        },
        gradcam=section(run),
        suspects=suspects.section(run),
        pairs=page.pairs(copies[:DUPLICATES_SHOWN], train, split, names),
        range_test=page.range_test(run, trained),
        gallery=page.gallery(test, split, names, test.worst_first[:MISTAKES_SHOWN]),
        settings=page.settings_table(trained, settings),
        environment=sorted(trained.versions.items()),
    )
    write_text_atomically(run.report, html)
