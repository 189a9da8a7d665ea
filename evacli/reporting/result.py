"""What a report says."""

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from evacli.reporting.metrics import ClassScore, Confusion


class ReportResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a report says; accuracies are shares of 1.

    Attributes:
        run: the run directory.
        report: the page.
        misclassified: the table of wrong predictions.
        top_accuracy: the best epoch's accuracy on the split that chose it.
        top_epoch: that epoch, counted from 1.
        chosen_by: "test" or "validation".
        choice: how that epoch came to be chosen, as a person reads it.
        tta: whether the accuracies evaluate each image together with its mirror image.
        test_accuracy: of the best model, measured now.
        shifted_accuracy: the same, each image evaluated together with copies shifted by a pixel; None: not asked for.
        train_accuracy: of the best model on the training images, without augmentation.
        test_images: how many test images there are.
        mistakes: how many of them were taken for another class.
        classes: precision, recall and F1 of each class.
        most_confused: which class was taken for which most often.
    """

    run: str
    report: str
    misclassified: str
    top_accuracy: float
    top_epoch: int
    chosen_by: str
    choice: str
    tta: bool = False
    test_accuracy: float
    shifted_accuracy: float | None = None
    train_accuracy: float
    test_images: int
    mistakes: int
    classes: list["ClassScore"]
    most_confused: list["Confusion"]
