"""What a report says."""

from typing import TYPE_CHECKING

from evacli.formats import joined
from evacli.notebook import Displayed

if TYPE_CHECKING:
    from evacli.metrics import ClassScore, Confusion
    from evacli.run.summary import Advice

MANY_CLASSES = 20


class ReportResult(Displayed, frozen=True, kw_only=True):
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
        plain_accuracy: the same with each image evaluated alone, as `best.keras` does it by itself; without `tta` the
            same figure.
        shifted_accuracy: the same, each image evaluated together with copies shifted by a pixel; None: not asked for.
        train_accuracy: of the best model on the training images, without the obstacles.
        obstacles: what the network meets while it learns and not when it is evaluated, such as "augmentation".
        train_images: how many images the network learnt from.
        validation_images: how many choose the top epoch instead of the test images.
        test_images: how many test images there are.
        mistakes: how many of them were taken for another class.
        duplicates: how many of them are among the training images too, exactly or nearly.
        exact_duplicates: how many of these are the same to the last pixel.
        accuracy_without_duplicates: test accuracy on the others; None where there are no others.
        balanced_accuracy: mean recall of the classes: test accuracy as if all had equally many images.
        macro_f1: mean F1 of the classes.
        classes: precision, recall and F1 of each class.
        most_confused: which class was taken for which most often.
        advice: what to try next, the likeliest cause first; at most three lines.
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
    plain_accuracy: float
    shifted_accuracy: float | None = None
    train_accuracy: float
    obstacles: tuple[str, ...] = ()
    train_images: int
    validation_images: int = 0
    test_images: int
    mistakes: int
    duplicates: int = 0
    exact_duplicates: int = 0
    accuracy_without_duplicates: float | None = None
    balanced_accuracy: float
    macro_f1: float
    classes: list["ClassScore"]
    most_confused: list["Confusion"]
    advice: tuple["Advice", ...] = ()

    @property
    def many_classes(self) -> bool:
        """Whether there are more classes than a person looks at one by one."""
        return len(self.classes) > MANY_CLASSES

    @property
    def by_class_matters(self) -> bool:
        """Whether accuracy alone hides much: classes are many, or one has more images than another."""
        return self.many_classes or len({score.images for score in self.classes}) > 1

    @property
    def without_obstacles(self) -> str:
        """How the training accuracy was measured, as a person reads it; empty if the network met no obstacles."""
        return f"without {joined(self.obstacles, 'or')}" if self.obstacles else ""
