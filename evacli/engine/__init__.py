"""The engine room: the only one that knows what computes."""

from evacli.engine.base import Engine


def create() -> Engine:
    """Return the engine that computes on this machine; starts TensorFlow."""
    from evacli.engine.single import SingleEngine

    return SingleEngine()
