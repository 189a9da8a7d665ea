"""evacli itself: `evacli.train` with all that it does between two steps; only its display waits at the gate."""

import tempfile
from typing import Any

import evacli
from evacli.training.display import TrainingDisplay
from evacli.training.learner import Learner
from rivals.gate import Gate, parser

ASSIGNMENT = {"dropout": "own", "optimizer": "momentum", "cutout": 16, "crop": 4}


def main() -> None:
    arguments = parser()
    arguments.add_argument("--recipe", help="by default the assignment's network and augmentation")
    options = arguments.parse_args()
    install(Gate(framework=f"evacli {evacli.__version__}"))
    with tempfile.TemporaryDirectory() as run:
        evacli.train(
            run,
            **(evacli.recipe(options.recipe) if options.recipe else ASSIGNMENT)
            | {
                "data": options.data,
                "batch_size": options.batch_size,
                "precision": options.precision,
                "flip": True,
                "epochs": 1,
                "checkpoint_minutes": 1e9,
            },
        )


def install(gate: Gate) -> None:
    """Puts the gate behind the display of each step."""
    show, batches = TrainingDisplay.batch_ends, Learner.batches

    def show_and_wait(display: TrainingDisplay, *figures: Any) -> None:
        show(display, *figures)
        gate.step_done()

    def count_and_batches(learner: Learner, *arguments: Any) -> Any:
        gate.facts["parameters"] = learner.twin.count_params()
        return batches(learner, *arguments)

    TrainingDisplay.batch_ends, Learner.batches = show_and_wait, count_and_batches


if __name__ == "__main__":
    main()
