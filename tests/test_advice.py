"""What a report advises: which signs lead to which first line."""

from dataclasses import replace

import numpy as np
import pytest

from evacli.evaluation import Predictions
from evacli.reporting import signs as signs_module
from evacli.reporting.advice import MOST, Signs, advise

EVEN = np.full((10, 10), 7) + np.diag([60] * 10)
LIKE_CIFAR = np.diag([90] * 10)
LIKE_CIFAR[3, 5] = LIKE_CIFAR[5, 3] = 60  # cats and dogs

FINE = Signs(
    path="runs/a",
    run=" --run runs/a",
    data={"data": "my photos"},
    failed=False,
    lr=0.05,
    customary=0.05,
    suggested=None,
    tried=None,
    epochs=20,
    train_losses=(1.0, 0.5, 0.21, 0.2, 0.2, 0.2),
    accuracies=(0.5, 0.8, 0.96),
    train=0.985,
    learning=0.97,
    test=0.96,
    majority=0.1,
    images_per_class=500.0,
    dropout=0.1,
    parameters=450_000,
    rank=0.1,
    confusions=np.diag([100] * 10),
    class_names=tuple("abcdefghij"),
    suspects=None,
    gentler={"flip": True, "cutout": 16},
    pretrained=False,
)


def signs(**changed):
    return replace(FINE, **changed)


def first(**changed):
    return advise(signs(**changed))[0]


def test_nothing_is_advised_where_nothing_stands_out():
    assert advise(FINE) == ()


@pytest.mark.parametrize(
    ("cause", "changed", "said", "tried"),
    [
        ("rate too high", {"failed": True}, "no longer finite", "--lr 0.005"),
        ("rate too high", {"accuracies": (0.5, 0.3)}, "fell from 50.0% to 30.0%", "--lr 0.005"),
        ("rate too high", {"accuracies": (0.12,), "lr": 0.5}, "Nothing was learnt", "--lr 0.05"),
        ("rate too high", {"lr": 0.6, "train": 0.6, "test": 0.55}, "Little was learnt", "--lr 0.06"),
        ("underfit", {"lr": 0.6, "suggested": 0.5, "train": 0.6, "test": 0.6}, "both low", "--model resnet9"),
        ("underfit", {"lr": 0.006, "suggested": 0.005, "train": 0.6, "test": 0.6}, "both low", "--model resnet9"),
        ("rate too high", {"suggested": 0.01}, "far above the 0.01", "--lr 0.01"),
        ("rate too low", {"suggested": 0.2}, "far below the 0.2", "--lr 0.2"),
        ("rate too low", {"lr": 0.01, "train": 0.6, "test": 0.6}, "fell, but not far", "--lr 0.05"),
        (
            "rate too low",
            {"lr": 0.0025, "train": 0.3, "test": 0.3, "train_losses": (1.9, 1.92, 1.88)},
            "fell, but not far",
            "--lr 0.05",
        ),
        ("rate too low", {"lr": 0.04, "accuracies": (0.1,)}, "Nothing was learnt", "--lr 0.05"),
        (
            "tiny data",
            {"images_per_class": 20.0, "test": 0.6},
            "20 training images a class",
            "--data 'my photos' --model mobilenet_v2 --weights imagenet",
        ),
        (
            "tiny data",
            {"images_per_class": 20.0, "test": 0.6, "pretrained": True},
            "20 training images a class",
            "--flip --cutout 16",
        ),
        ("tiny data", {"images_per_class": 19.0, "train": 0.8, "test": 0.75}, "19 training images a class", "imagenet"),
        ("underfit", {"images_per_class": 20.0, "train": 0.8, "test": 0.75}, "both low", "--model resnet9"),
        (
            "noisy labels",
            {"confusions": EVEN, "train": 0.3, "test": 0.25, "rank": 0.45},
            "Of the 630 mistakes the labels",
            "evacli labels --run runs/a",
        ),
        ("underfit", {"confusions": EVEN, "train": 0.3, "test": 0.25, "rank": 0.35}, "both low", "--model resnet9"),
        (
            "noisy labels",
            {"confusions": EVEN, "train": 0.6, "test": 0.55, "rank": 0.4},
            "Of the 630 mistakes the labels",
            "evacli labels --run runs/a",
        ),
        ("overfit", {"test": 0.9, "confusions": LIKE_CIFAR}, "learnt by heart", "--recipe runs/a --flip --cutout 16"),
        ("overfit", {"train": 0.8, "test": 0.7}, "learnt by heart", "--flip"),
        (
            "too much dropout",
            {"dropout": 0.5, "train": 0.7, "learning": 0.6, "test": 0.7},
            "drops 50% while it learns: 60.0%",
            "--dropout 0.1",
        ),
        ("too few epochs", {"train": 0.9, "test": 0.9, "epochs": 3}, "learns much after 3 epochs", "--epochs 10"),
        ("too few epochs", {"train": 0.9, "test": 0.9, "train_losses": (3, 2, 1)}, "still falling", "--epochs 60"),
        ("underfit", {"train": 0.6, "test": 0.6}, "network of 450,000 parameters", "--model resnet9"),
        ("underfit", {"train": 0.6, "test": 0.6, "parameters": 10**7}, "both low", "--epochs 60"),
        (
            "rate at the edge",
            {"suggested": 0.05, "tried": (0.04, 1.0)},
            "at the edge",
            "lr-find --run runs/a --min-lr 0.0004",
        ),
        ("rate at the edge", {"suggested": 0.05, "tried": (1e-6, 0.08)}, "at the edge", "--max-lr 8"),
        ("suspected labels", {"confusions": LIKE_CIFAR, "suspects": 9}, "Of the 120 mistakes, 9 may", "evacli labels"),
    ],
)
def test_the_first_line_names_the_likeliest_cause(cause, changed, said, tried):
    advice = first(**changed)
    assert advice.cause == cause
    assert said in advice.reason
    assert tried in advice.command


def test_the_command_trains_another_run_with_the_settings_of_this_one_but_for_what_is_changed():
    command = first(train=0.6, test=0.6).command
    assert command == "evacli train --run runs/a-next --recipe runs/a --model resnet9"


def test_a_class_that_most_mistakes_are_of_is_shown_beside_the_cause():
    confusions = np.diag([95] * 10)
    confusions[3, 5] = 30
    causes = [
        line.cause for line in advise(signs(test=0.9, confusions=confusions, class_names=(*"abc", "a cat", *"efghij")))
    ]
    assert causes == ["overfit", "one class"]
    last = advise(signs(test=0.9, confusions=confusions, class_names=(*"abc", "a cat", *"efghij")))[-1]
    assert last.command == "evacli gradcam --run runs/a --class 'a cat'"
    assert last.reason == "a cat has 100% of the mistakes and 13% of the test images."


def test_there_are_three_lines_at_most_and_one_of_them_says_where_to_look():
    lines = advise(
        signs(failed=True, lr=0.005, train=0.6, test=0.4, images_per_class=9.0, confusions=LIKE_CIFAR, suspects=3)
    )
    assert len(lines) == MOST
    assert lines[-1].cause == "suspected labels"


def test_a_network_that_has_learnt_nothing_is_not_asked_about_classes_or_labels():
    assert [line.cause for line in advise(signs(accuracies=(0.1,), suspects=9, lr=0.5))] == ["rate too high"]


@pytest.mark.parametrize(("wrong_labels", "least", "most"), [(0.0, 0.0, 0.1), (1.0, 0.4, 0.6)])
def test_the_rank_tells_second_choices_from_any(wrong_labels, least, most):
    rng = np.random.default_rng(1)
    probabilities = rng.dirichlet(np.full(10, 0.3), 2000).astype(np.float32)
    order = np.argsort(-probabilities, axis=1)
    any_other = order[np.arange(2000), rng.integers(1, 10, 2000)]
    labels = np.where(rng.random(2000) < wrong_labels, any_other, order[:, 1])
    assert least <= signs_module._rank(Predictions(probabilities, labels)) <= most
    assert signs_module._rank(Predictions(probabilities, order[:, 0])) == 0  # no mistakes
