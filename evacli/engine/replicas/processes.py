"""The engines for several processes: the chief's tells the others what it is told, and theirs does that.

So everything is decided by the chief alone. Before each step all say whether they were asked to stop, and the chief
whether it goes on.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np

from evacli.backend import keras, tf
from evacli.engine.base import Arrays, Batches, Controls, EpochFigures, Hook, Plan
from evacli.engine.replicas.crew import LEAVING, Crew, Order
from evacli.engine.replicas.engine import ReplicaEngine


class _ProcessEngine(ReplicaEngine):
    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        super().__init__()

    def _make_strategy(self) -> Any:
        return self._crew.strategy


class ChiefEngine(_ProcessEngine):
    """That of the process that leads; see `evacli.engine.base.Engine` for what its methods promise."""

    _shared = False  # whether the others have the state that this process has
    _asked: int | None = None

    def prepare(self, network: keras.Model, plan: Plan) -> None:
        """Let all make their twins."""
        self._crew.order("prepare", config=msgspec.to_builtins(plan.config))
        super().prepare(network, plan)

    def run(self, batches: Batches, hooks: Sequence[Hook]) -> EpochFigures:
        """Let all take the same steps."""
        if not self._shared:
            groups = (f"{group}/{i}" for group, arrays in self.state().items() for i, _ in enumerate(arrays))
            everything = [array for arrays in self.state().values() for array in arrays]
            self._crew.order("restore", dict(zip(groups, everything, strict=True)))
            self._shared = True
        self._crew.order("run", _packed(batches), size=batches.size, epoch=batches.epoch)
        try:
            figures = super().run(batches, hooks)
        except tf.errors.OpError:
            raise
        except BaseException:
            self._crew.numbers(LEAVING)
            raise
        self._crew.numbers(0)
        return figures

    def _go_on(self) -> bool:
        asked = [int(number) for number in self._crew.numbers(0) if number > 0]
        self._asked = asked[0] if asked else self._asked
        return True

    def asked_to_stop(self) -> int | None:
        """Return what another process has told before the last step."""
        return self._asked

    def restore(self, arrays: Arrays) -> None:
        """Take over a state, to be told to the others."""
        super().restore(arrays)
        self._shared = False


class WorkerEngine(_ProcessEngine):
    """That of a process that is led.

    Attributes:
        asked: returns the signal that this process has got, if it has got one.
    """

    is_chief = False
    asked: Callable[[], int | None]
    _left = False

    def run(self, batches: Batches, hooks: Sequence[Hook]) -> EpochFigures:
        """Take steps as long as the chief does."""
        self._left = False
        figures = super().run(batches, hooks)
        if not self._left:
            self._go_on()
        return figures

    def _go_on(self) -> bool:
        self._left = bool(self._crew.numbers(self.asked() or 0)[0] == LEAVING)
        return not self._left

    def obey(self, order: Order) -> None:
        """Restore a state or run steps."""
        if order.document["do"] == "run":
            self.run(_unpacked(order), [])
            return
        groups: dict[str, list[Any]] = {}
        for name, array in order.arrays.items():  # which come in their order
            groups.setdefault(name.partition("/")[0], []).append(array)
        self.restore(groups)


def _packed(batches: Batches) -> dict[str, Any]:
    return {
        "indices": batches.indices,
        "mirrored": batches.mirrored,
        "numbers": batches.numbers,
        "rates": np.array([controls.lr for controls in batches.controls]),
        "momenta": np.array([np.nan if c.momentum is None else c.momentum for c in batches.controls]),
    }


def _unpacked(order: Order) -> Batches:
    told, arrays = order
    pairs = zip(arrays["rates"].tolist(), arrays["momenta"].tolist(), strict=True)
    controls = [Controls(rate, None if np.isnan(momentum) else momentum) for rate, momentum in pairs]
    shown = arrays["indices"], arrays["mirrored"]
    return Batches(*shown, told["size"], arrays["numbers"], controls, told["epoch"])
