"""evacli's engine for a card, without tests and files; where there is no card, the same engine on the CPU."""

import itertools

import evacli
from evacli import config, data, devices
from evacli.devices import Card
from rivals.gpu_gate import Gate, options


def main() -> None:
    chosen = options("--no-xla")
    gate = Gate(framework=f"evacli {evacli.__version__}")
    from evacli.engine.base import Controls
    from evacli.training.learner import assemble

    if devices.card() is None:
        devices._Process.card = Card("the CPU", "/CPU:0")
    settings = {"batch_size": chosen.batch_size, "precision": chosen.precision, "data": chosen.data, "flip": True}
    made = config.make(settings)
    learner = assemble(made, data.load(made))
    learner.engine.xla = not chosen.no_xla
    gate.facts["images"] = len(learner.data.train)
    controls = [Controls(0.01, 0.9)] * learner.batching.steps(0)
    for epoch in itertools.count():
        learner.engine.run(learner.batching.deal(epoch, controls), [])
        gate.step_done()


if __name__ == "__main__":
    main()
