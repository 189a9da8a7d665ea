"""The whole of evacli's recipe `airbench`, from the first step to the last test; prints what airbench94.py prints."""

import tempfile
from typing import Any

import evacli
from evacli import evaluation
from evacli.data.types import Split
from evacli.run import trained
from evacli.run.directory import RunDir
from evacli.training.loop import Loop
from rivals.airbench94 import Clock, say
from rivals.gate import parser


def main() -> None:
    arguments = parser()
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--epochs", type=int, help="by default the recipe's")
    arguments.add_argument("--tests", action="store_true", help="after each epoch, not as often as the recipe says")
    options = arguments.parse_args()
    settings: dict[str, Any] = {"data": options.data, "precision": options.precision, "seed": options.seed}
    settings |= {"epochs": options.epochs} if options.epochs else {}
    settings |= {"test_every": 1} if options.tests else {}
    clock = Clock()
    time_tests(clock)
    with tempfile.TemporaryDirectory() as run:
        summary = evacli.train(run, **evacli.recipe("airbench") | settings)
        clock.training_ends()
        shifted = evaluate_with_copies(RunDir(run))
        clock.final_test_ends()
    say(**clock.facts(), accuracy=summary.test_accuracy, accuracy_with_copies=shifted)


def time_tests(clock: Clock) -> None:
    """Gives the time of the tests between epochs to the clock."""
    predict = Loop._predict

    def predict_and_time(training: Loop, split: Split, display: Any) -> evaluation.Predictions:
        clock.training_ends()
        said = predict(training, split, display)
        clock.test_ends()
        return said

    Loop._predict = predict_and_time  # type: ignore[method-assign]


def evaluate_with_copies(run: RunDir) -> float:
    """What `evacli report --shifts` says of it, the unshifted views tested once more."""
    return evaluation.open_run(trained.read(run)).shifted_test.accuracy


if __name__ == "__main__":
    main()
