"""evacli itself: `evacli.train` with all that it does between two steps, asked after each whether it shall stop."""

import tempfile

import evacli
from evacli.engine.single import SingleEngine
from evacli.training.hooks import Reached
from rivals.gate import Gate, parser

ASSIGNMENT = {"dropout": "own", "optimizer": "momentum", "cutout": 16, "crop": 4}


def main() -> None:
    arguments = parser()
    arguments.add_argument("--recipe", help="by default the assignment's network and augmentation")
    options = arguments.parse_args()
    gate = Gate(framework=f"evacli {evacli.__version__}")
    count_parameters(gate)

    def pass_gate(reached: Reached) -> bool:
        if reached.loss is not None:
            gate.step_done()
        return False

    with tempfile.TemporaryDirectory() as run:
        evacli.train(
            run,
            stop_when=pass_gate,
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


def count_parameters(gate: Gate) -> None:
    """Lets the gate tell how large the network is."""
    prepare = SingleEngine.prepare

    def count_and_prepare(engine: SingleEngine, network: object, plan: object) -> None:
        gate.facts["parameters"] = network.count_params()
        prepare(engine, network, plan)

    SingleEngine.prepare = count_and_prepare


if __name__ == "__main__":
    main()
