"""Looking on while a network computes, at any layer of it."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial, wraps
from typing import Any

from evacli.backend import keras, tf

See = Callable[[str, Any, tuple[Any, ...], Any], Any]  # (name, layer, arguments, output) -> output to go on with


def named_layers(model: keras.Model, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Give every layer and operation with its name, nested models opened instead of listed."""
    for layer in getattr(model, "operations", model.layers):
        if isinstance(layer, keras.Model):
            yield from named_layers(layer, f"{prefix}{layer.name}/")
        else:
            yield prefix + layer.name, layer


@contextmanager
def observed(layers: Iterable[tuple[str, Any]], see: See) -> Iterator[None]:
    """Call `see` each time that one of `layers` has computed; the network goes on with what it returns.

    Keras has no forward hooks, and a functional model to an inner output cannot reach into a nested or subclassed one;
    a `call` set on the layer object itself works in all of them.
    """
    with ExitStack() as undo:
        for name, layer in layers:
            if "call" not in vars(layer):  # a layer in two places counts once
                layer.call = _telling(layer.call, partial(see, name, layer))
                undo.callback(delattr, layer, "call")
        yield


def _telling(call: Callable[..., Any], see: Callable[[tuple[Any, ...], Any], Any]) -> Callable[..., Any]:
    @wraps(call)
    def told(*args: Any, **kwargs: Any) -> Any:
        output = call(*args, **kwargs)
        return see((*args, *kwargs.values()), output) if isinstance(output, tf.Tensor) else output

    return told
