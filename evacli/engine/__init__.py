"""The engine room: the only one that knows what computes."""

from typing import TYPE_CHECKING

from evacli.engine.base import Engine

if TYPE_CHECKING:
    from evacli.engine.trunk import Frozen


def create(frozen: "Frozen | None" = None) -> Engine:
    """Return the engine that computes on this machine; starts TensorFlow.

    Args:
        frozen: what of the network that it is to train stays as it is, if something does.
    """
    from evacli.engine.single import SingleEngine

    if frozen is None:
        return SingleEngine()
    from evacli.engine.trunk import TrunkEngine

    return TrunkEngine(SingleEngine(), frozen)
