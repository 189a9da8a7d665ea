"""The scores that a classifier's softmax turns into probabilities."""

from typing import Any

from evacli.backend import keras
from evacli.errors import ModelError


def logits_model(model: keras.Model) -> keras.Model:
    """Return a model that shares all layers and weights with `model` and gives its scores before the softmax.

    The softmax may be the last layer, the activation of the last layer, or either of them at the end of a model nested
    in the last place. `model` itself stays as it is.

    Args:
        model: a Functional or Sequential model that gives class probabilities (B, C), also one loaded from a file.

    Returns:
        A model from the same inputs to scores (B, C).

    Raises:
        ModelError: if `model` does not end in a softmax that can be told from the rest.
    """
    scores = _scores(model)
    inputs = model.inputs[0] if len(model.inputs) == 1 else model.inputs
    return keras.Model(inputs, scores, name=f"{model.name}_logits")


def ends_in_softmax(model: keras.Model) -> bool:
    """Tell whether `logits_model` can take the softmax off `model`."""
    try:
        _scores(model)
    except ModelError:
        return False
    return True


def last_operation(model: keras.Model) -> Any:
    """Return the layer or operation that gives `model`'s output; of models nested in the last place, the innermost.

    Raises:
        ModelError: if `model` is not a graph of layers with one output.
    """
    operation, _ = _last(model)
    return last_operation(operation) if isinstance(operation, keras.Model) else operation


def _last(model: keras.Model) -> tuple[Any, Any]:
    # The last operation and the node of the graph in which it gives the output.
    outputs = getattr(model, "outputs", None)
    if not outputs or len(outputs) != 1:
        raise ModelError(
            f"The model {model.name} is not a graph of Keras layers with one output.",
            "Make it with keras.Model(inputs, outputs) or keras.Sequential.",
        )
    operation, node_index, _ = outputs[0]._keras_history
    return operation, operation._inbound_nodes[node_index]


def _scores(model: keras.Model) -> Any:
    # The tensor that enters the softmax, in the model's own graph.
    operation, node = _last(model)
    if isinstance(operation, keras.Model):
        return logits_model(operation)(*node.arguments.args, **node.arguments.kwargs)
    if _is_softmax(operation):
        return node.input_tensors[0]
    if getattr(operation, "activation", None) is keras.activations.softmax:
        return _WithoutActivation(operation)(node.input_tensors[0])
    raise ModelError(
        f"The model {model.name} ends in {operation.name}, not in a softmax.",
        "End it with keras.layers.Softmax() or activation='softmax'.",
    )


def _is_softmax(operation: Any) -> bool:
    if isinstance(operation, keras.layers.Activation):
        return operation.activation is keras.activations.softmax
    # keras.ops.softmax, called on a keras tensor, leaves an operation named like the layer.
    return type(operation).__name__ == "Softmax"


class _WithoutActivation(keras.layers.Layer):
    """Calls a layer, sharing its weights, as if it had no activation."""

    def __init__(self, layer: keras.layers.Layer) -> None:
        super().__init__(name=f"{layer.name}_scores", dtype=layer.dtype_policy)
        self.layer = layer
        self.built = True

    def call(self, x: Any) -> Any:
        """Return the layer's output before its activation."""
        activation = self.layer.activation
        self.layer.activation = keras.activations.linear
        try:
            return self.layer(x)
        finally:
            self.layer.activation = activation
