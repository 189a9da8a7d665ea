"""The engine room: the only one that knows what computes."""

from typing import TYPE_CHECKING

from evacli import devices
from evacli.engine.base import Engine

if TYPE_CHECKING:
    from evacli.engine.trunk import Frozen


def create(frozen: "Frozen | None" = None) -> Engine:
    """Return the engine for what this process computes on; starts TensorFlow.

    Args:
        frozen: what of the network that it is to train stays as it is, if something does.
    """
    computes = _computes()
    if frozen is None:
        return computes
    from evacli.engine.trunk import TrunkEngine

    return TrunkEngine(computes, frozen)


def _computes() -> Engine:
    from evacli.engine.gpu import GpuEngine
    from evacli.engine.single import SingleEngine

    if devices.place() is not None:
        from evacli.engine.replicas.crew import crew
        from evacli.engine.replicas.processes import ChiefEngine, WorkerEngine

        found = crew()
        assert found
        return ChiefEngine(found) if found.place.is_chief else WorkerEngine(found)
    if devices.number() > 1:
        from evacli.engine.replicas.engine import ReplicaEngine

        return ReplicaEngine()
    card = devices.card()
    return GpuEngine(card) if card else SingleEngine()
