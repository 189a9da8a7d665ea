"""A whole training by `evacli.train`, tests and files included, where its time goes; prints a JSON line."""

import json
import statistics
import sys
import tempfile
from collections.abc import Callable
from time import perf_counter, time
from typing import Any

import evacli
from evacli import devices, evaluation
from evacli.run import history, trained
from evacli.run.directory import RunDir
from rivals.gate import parser


def main() -> None:
    arguments = parser()
    arguments.add_argument("--began", type=float, default=time(), help="when this process was started")
    arguments.add_argument("--recipe")
    arguments.add_argument("--epochs", type=int)
    options = arguments.parse_args()
    from evacli.engine.gpu import Blocks
    from evacli.training.loop import Loop
    from evacli.training.state import TrainingState

    if devices.card() is None:
        devices._Process.card = devices.Card("the CPU", "/CPU:0")
    seconds: dict[str, float] = {}
    first: list[float] = []
    for owner, name, what in (
        (TrainingState, "save", "checkpoints, s"),
        (TrainingState, "write_best", "best.keras, s"),
        (TrainingState, "write_results", "history and summary, s"),
        (Loop, "_test", "tests, s"),
    ):
        setattr(owner, name, timed(getattr(owner, name), what, seconds))
    ends = Blocks.on_train_batch_end

    def note_first(self: Any, *given: Any, **named: Any) -> None:
        first.append(time() - options.began)
        ends(self, *given, **named)

    Blocks.on_train_batch_end = note_first
    settings: dict[str, Any] = evacli.recipe(options.recipe) if options.recipe else {"flip": True}
    settings |= {"data": options.data} | ({"epochs": options.epochs} if options.epochs else {})
    with tempfile.TemporaryDirectory() as run:
        summary = evacli.train(run, **settings)
        rows = history.read_csv(RunDir(run).history)
        epochs = [row.seconds for row in rows]
        facts: dict[str, Any] = {
            "device": devices.described(),
            "precision": trained.read(RunDir(run)).config.precision,
            "start to first step, s": first[0],
            "all epochs, s": sum(epochs),
            "median epoch, s": statistics.median(epochs),
            "median epoch times epochs, s": statistics.median(epochs) * len(epochs),
            **seconds,
            "accuracy": summary.test_accuracy,
            "steps left out": summary.skipped_steps,
        }
        if options.recipe:
            start = perf_counter()
            facts["accuracy with copies"] = evaluation.open_run(trained.read(RunDir(run))).shifted_test.accuracy
            facts["test with copies, s"] = perf_counter() - start
    print(json.dumps(facts), file=sys.stdout, flush=True)


def timed(function: Callable[..., Any], what: str, seconds: dict[str, float]) -> Callable[..., Any]:
    def run(*given: Any, **named: Any) -> Any:
        began = perf_counter()
        try:
            return function(*given, **named)
        finally:
            seconds[what] = seconds.get(what, 0.0) + perf_counter() - began

    return run


if __name__ == "__main__":
    main()
