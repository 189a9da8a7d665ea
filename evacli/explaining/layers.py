"""Choosing the layer whose feature map Grad-CAM shows."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from evacli.backend import keras, tf
from evacli.errors import ConfigError
from evacli.explaining.places import PIXELS, Places, Seen, Shape, after, after_tensorflow
from evacli.models.observing import named_layers, observed


@dataclass(frozen=True)
class Call:
    """A layer at work, once.

    Attributes:
        name: of the layer; one inside a nested model is called `model/layer`.
        shape: (B, ...) of its output.
        places: what its rows and columns have to do with the picture.
        is_on_every_path: whether nothing gets from the pixels to the scores without it.
        follows: the names of the layers that its output depends on.
    """

    name: str
    shape: Shape
    places: Places
    is_on_every_path: bool
    follows: frozenset[str]

    @property
    def is_map(self) -> bool:
        """Whether the output is a feature map: 4-D, and more than one pixel."""
        return len(self.shape) == 4 and None not in self.shape[1:] and self.shape[1] * self.shape[2] > 1

    @property
    def suits(self) -> bool:
        """Whether its map shows what the network has learnt to see, at its place in the picture."""
        return self.is_map and self.places.learnt and self.places.are_shown


def feature_maps(model: keras.Model, image_shape: Shape) -> dict[str, Shape]:
    """Name the layers of `model` that give feature maps, with (h, w, channels), in the order of computation.

    A feature map is a 4-D output of more than one pixel. A layer inside a nested model is called `model/layer`.
    """
    return {call.name: call.shape[1:] for call in calls(model, image_shape) if call.is_map}


def choose_layer(model: keras.Model, image_shape: Shape, layer: str | None = None) -> str:
    """Return the full name of the feature map called `layer`, or of the one that suits Grad-CAM best.

    That is the last layer that every path from the pixels to the scores passes, since the map of another one leaves out
    what the network sees elsewhere; whose rows and columns still are those of the picture; after a layer that has
    learnt something, and computed only once. The last part of a nested layer's name will do where only one layer ends
    in it.

    Raises:
        ConfigError: naming the layers that there are, or those that may be asked for although none is chosen.
    """
    if layer is None:
        return _last_that_suits(calls(model, image_shape))
    names = list(feature_maps(model, image_shape))
    matching = [n for n in names if n == layer] or [n for n in names if n.endswith(f"/{layer}")]
    if len(matching) == 1:
        return matching[0]
    raise _no_such_layer(layer, matching, names, dict(named_layers(model)))


def caveat(model: keras.Model, image_shape: Shape, layer: str) -> str:
    """Return why the map of a layer may mislead, in one sentence; nothing if there is no reason.

    For example: "The map of late may not show where the network looks: the scores also depend on paths around it."

    Args:
        model: the network.
        image_shape: (H, W, channels).
        layer: a name that `choose_layer` returned.
    """
    own = [call for call in calls(model, image_shape) if call.name == layer]
    doubts = "; ".join(filter(None, (_displaced(own[-1].places), _bypassed(own[-1]), _repeated(own))))
    return f"The map of {layer} may not show where the network looks: {doubts}." if doubts else ""


def _displaced(places: Places) -> str:
    if places.mixed_by:
        return f"from {places.mixed_by} on, rows and columns are not those of the picture"
    return "" if places.are_shown else "it is padded or cropped"


def _bypassed(call: Call) -> str:
    return "" if call.is_on_every_path else "the scores also depend on paths around it"


def _repeated(own: list[Call]) -> str:
    if len(own) == 1:
        return ""
    # Of several calls the maps are those of the last one, so it is told from the first.
    first, last = (call.follows - {call.name} for call in (own[0], own[-1]))
    differences = [f", after {name}" for name in sorted(last - first)]
    differences += [f", not after {name}" for name in sorted(first - last)]
    return f"it is computed {len(own)} times, and this is the last" + "".join(differences[:1])


def _last_that_suits(every: tuple[Call, ...]) -> str:
    times = Counter(call.name for call in every)
    suitable = [call for call in every if call.suits]
    best = [call.name for call in suitable if call.is_on_every_path and times[call.name] == 1]
    if best:
        return best[-1]
    if not any(call.is_map for call in every):
        reason = "the network has no layer whose output is a feature map (B, H, W, C)"
    elif suitable:
        reason = "of the layers that show places in the picture, none is computed once and on every path to the scores"
    else:
        mixer = next((f" ({call.places.mixed_by} loses them)" for call in every if call.places.mixed_by), "")
        reason = f"no layer that has learnt something keeps the picture's rows and columns{mixer}"
    explained = {call.name: call for call in every}  # of several calls the last
    names = [name for name, call in explained.items() if call.suits]
    fix = f"From the last to the first, --layer can be one of: {_listed(names)}." if names else "No --layer would do."
    raise ConfigError(f"Grad-CAM finds no layer to show: {reason}.", fix)


def _no_such_layer(layer: str, matching: list[str], names: list[str], layers: dict[str, Any]) -> ConfigError:
    if matching:
        reason = f"fits {len(matching)} layers: {', '.join(matching)}"
    else:
        known = any(name == layer or name.endswith(f"/{layer}") for name in layers)
        reason = "gives no feature map (B, H, W, C)" if known else "is no layer of the network"
    return ConfigError(f"--layer {layer} {reason}.", f"From the last to the first, choose one of: {_listed(names)}.")


def _listed(names: list[str], most: int = 60) -> str:
    shown = names[::-1][:most]
    left = len(names) - len(shown)
    return ", ".join(shown) + (f" and {left} before" if left else "")


@lru_cache(maxsize=1)
def calls(model: keras.Model, image_shape: Shape) -> tuple[Call, ...]:
    """Return what the layers of `model` do to one image, in the order of computation.

    The network is traced, not run. TensorFlow's own graph tells what depends on what, also inside a model that is no
    graph of Keras layers, and with the sizes that a nested model leaves open.
    """
    noted: dict[Any, _Noted] = {}

    def note(name: str, layer: Any, arguments: tuple[Any, ...], output: tf.Tensor) -> tf.Tensor:
        own = tf.identity(output)  # a layer that does nothing in inference returns its input
        noted[own.op] = _Noted(name, layer, arguments, output)
        return own

    def run(pixels: tf.Tensor) -> tf.Tensor:
        with observed(named_layers(model), note):
            return model(pixels, training=False)

    pixels = tf.TensorSpec((1, *image_shape), tf.float32)
    return tuple(_followed(tf.function(run, autograph=False).get_concrete_function(pixels).graph, noted))


class _Noted(NamedTuple):
    """What a layer was given and returned while it was traced."""

    name: str
    layer: Any
    arguments: tuple[Any, ...]
    output: Any

    def places(self, known: dict[Any, Places]) -> Places:
        """Return what it leaves of the places of its inputs; those that do not depend on the picture have none."""
        tensors = [x for x in tf.nest.flatten(self.arguments) if _is_symbolic(x)]
        if any(x is self.output for x in tensors):
            return known[self.output.op]
        seen = _seen([x for x in tensors if x.op in known], known)
        return after(self.layer, self.name, seen, self.arguments, _shape(self.output))


def _seen(tensors: Iterable[Any], known: dict[Any, Places]) -> list[Seen]:
    return [(known[x.op], _shape(x)) for x in tensors]


def _is_symbolic(value: Any) -> bool:
    return isinstance(value, tf.Tensor) and not hasattr(value, "numpy")


def _shape(tensor: tf.Tensor) -> Shape:
    return () if tensor.shape.rank is None else tuple(tensor.shape)


def _followed(graph: tf.Graph, noted: dict[Any, _Noted]) -> Iterator[Call]:
    """Return the calls in a graph from the pixels to the scores, whose operations come in the order of computation."""
    operations, start, end = graph.get_operations(), graph.inputs[0].op, graph.outputs[0].op
    known, follows = {start: PIXELS}, {start: frozenset[str]()}
    for operation in operations:
        inputs = [x for x in operation.inputs if x.op in known]
        if not inputs:  # it does not depend on the picture
            continue
        own = noted.get(operation)
        known[operation] = own.places(known) if own else after_tensorflow(operation, _seen(inputs, known))
        follows[operation] = frozenset().union(*(follows[x.op] for x in inputs), [own.name] if own else ())
    # A layer is on every path if as many lead through it as there are.
    to, on = Counter({start: 1}), Counter({end: 1})
    for operation in operations:
        to[operation] += sum(to[x.op] for x in operation.inputs)
    for operation in reversed(operations):
        for x in operation.inputs:
            on[x.op] += on[operation]
    for operation, own in noted.items():
        if operation in known:
            everywhere = to[operation] * on[operation] == to[end]
            yield Call(own.name, _shape(own.output), known[operation], everywhere, follows[operation])
