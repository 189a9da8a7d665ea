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
    from evacli.engine.gpu import GpuEngine
    from evacli.engine.single import SingleEngine

    card = devices.card()
    computes = GpuEngine(card) if card else SingleEngine()
    if frozen is None:
        return computes
    from evacli.engine.trunk import TrunkEngine

    return TrunkEngine(computes, frozen)
