"""The same network on faster layers.

The plain model is what is saved; its training twin is what trains, a fast copy what is measured. Their weights have the
same shapes in the same order, so `get_weights` of the one is `set_weights` of the other.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from evacli.backend import keras
from evacli.engine.fast.layers import FastActivation, FastConv2D, FastDropout, FusedBatchNormalization
from evacli.errors import ModelError
from evacli.models.logits import last_operation, logits_model
from evacli.models.nested import all_layers

# By exact type: a subclass may compute something else.
FAST: dict[Any, Any] = {
    keras.layers.Activation: FastActivation,
    keras.layers.BatchNormalization: FusedBatchNormalization,
    keras.layers.Conv2D: FastConv2D,
    keras.layers.Dropout: FastDropout,
}
# On a card: Keras spells BatchNorm out, and draws the masks of dropout in another way where XLA compiles it.
ON_CARD: dict[Any, Any] = {layer: FAST[layer] for layer in (keras.layers.BatchNormalization, keras.layers.Dropout)}
# Stay in float32 whatever the precision.
EXACT = (keras.layers.Normalization, keras.layers.Rescaling, keras.layers.Softmax)


def training_twin(
    model: keras.Model, precision: str, only: Any = None, layers: Mapping[Any, Any] = FAST
) -> keras.Model:
    """Return the same network on fast layers, with the same weights, giving scores instead of probabilities.

    With "bfloat16" or "float16", layers compute in that and keep their weights in float32; what rescales the pixels and
    what gives the scores stays in float32. Seeds of dropout layers that have none are drawn anew, after
    `keras.utils.set_random_seed` always the same.

    Args:
        model: plain network from pixels to class probabilities; it stays as it is.
        precision: "float32", "bfloat16" or "float16", what the convolutions compute in.
        only: the one layer that this is about, if the others shall stay in float32.
        layers: what stands for which plain layers.

    Returns:
        A model from the same inputs to float32 scores (B, C), not compiled. Its `losses` are `model`'s penalties.

    Raises:
        ModelError: if the scores cannot be had, see `logits_model`, or a layer cannot be made anew.
    """
    head = last_operation(logits_model(model))
    exact = (
        [getattr(head, "layer", head)] if only is None else [layer for layer in all_layers(model) if layer is not only]
    )
    twin = logits_model(_clone(model, exact, precision, layers))
    return twin if twin.output.dtype == "float32" else _in_float32(twin)


def fast_copy(model: keras.Model, layers: Mapping[Any, Any] = FAST) -> keras.Model:
    """Return the same network on fast layers, with the same weights: what it gives is `model`'s up to float32 rounding.

    Args:
        model: a plain network; it stays as it is.
        layers: what stands for which plain layers.

    Raises:
        ModelError: if a layer cannot be made anew.
    """
    return _clone(model, [], "float32", layers)


def _in_float32(twin: keras.Model) -> keras.Model:
    cast = keras.layers.Activation("linear", dtype="float32", name="float32_scores")
    return keras.Model(twin.input, cast(twin.output), name=twin.name)


def _clone(model: keras.Model, exact: Sequence[Any], precision: str, layers: Mapping[Any, Any]) -> keras.Model:
    def clone(layer: Any) -> Any:
        config = layer.get_config()
        # Operations of keras.ops come here too; the dtype of theirs is what they were told to give.
        lowered = isinstance(layer, keras.layers.Layer) and layer not in exact and not isinstance(layer, EXACT)
        if precision != "float32" and "dtype" in config and lowered:
            config["dtype"] = f"mixed_{precision}"
        return layers.get(type(layer), type(layer)).from_config(config)

    try:
        copy = keras.models.clone_model(model, clone_function=clone, recursive=True)
        copy.set_weights(model.get_weights())
    except Exception as e:  # from_config of a stranger's layer may raise anything
        raise ModelError(
            f"The model {model.name} has a layer that cannot be made anew from its configuration.",
            "Use Keras' own layers, or give yours a get_config that has all its arguments.",
        ) from e
    return copy
