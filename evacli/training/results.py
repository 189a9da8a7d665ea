"""The files of a run that people and later commands read, written from what its checkpoint holds."""

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from evacli.run import history, summary
from evacli.run.checkpoint import Progress
from evacli.run.directory import RunDir, write_atomically, write_text_atomically
from evacli.run.summary import State, Summary
from evacli.training.learner import Learner


def write_results(run: RunDir, learner: Learner, progress: Progress, best_weights: Sequence[NDArray[Any]]) -> None:
    """Writes `history.csv`, `best.keras` and `summary.json`.

    The learner's plain model has the best weights afterwards.
    """
    write_text_atomically(run.history, history.to_csv(progress.rows))
    if progress.best_epoch:
        learner.model.set_weights(best_weights)
        write_atomically(run.best_model, learner.model.save)
    done = len(progress.rows) >= progress.config.epochs
    summary.write(run, summarise(learner, progress, "finished" if done else "unfinished"))


def summarise(learner: Learner, progress: Progress, state: State) -> Summary:
    """What the training has come to."""
    data, rows = learner.data, progress.rows
    seconds = sum(row.seconds for row in rows)
    best = history.best(rows)
    return Summary(
        state=state,
        epochs_done=len(rows),
        epochs_tested=sum(row.test_accuracy is not None for row in rows),
        top_accuracy=(best.deciding_accuracy if best else None) or 0.0,
        top_epoch=best.epoch if best else 0,
        test_accuracy=(best.test_accuracy if best else None) or 0.0,
        chosen_by="test" if data.validation is None else "validation",
        tta=progress.config.uses_tta,
        class_names=data.class_names,
        train_images=len(data.train),
        validation_images=0 if data.validation is None else len(data.validation),
        test_images=len(data.test),
        lr=progress.lr,
        lr_source=progress.lr_source,
        model=progress.config.model,
        parameters=learner.model.count_params(),
        data_fingerprint=data.fingerprint,
        seconds=seconds,
        images_per_second=len(data.train) * len(rows) / seconds if seconds else 0.0,
        versions=progress.versions,
    )
