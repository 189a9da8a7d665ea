"""The networks of keras.applications, and their parts: layers that others have trained, and a head of one's own."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
from keras import applications, layers
from numpy.typing import NDArray

from evacli.backend import hushed, keras
from evacli.errors import ModelError
from evacli.messages import meant
from evacli.models.nested import all_layers

# The layers between a backbone and the class probabilities, in their order.
HEAD = ("pool", "features", "head_dropout", "scores", "probabilities")
DROPOUT = 0.2
SMALLEST = 32  # pixels a side, of all of keras.applications
# Of the logistic regression that a head starts from: how little it is held back, and how long it may look.
INVERSE_PENALTY, ROUNDS = 0.01, 30
SMALLEST_DEVIATION = 1e-3  # of a feature that hardly differs and would be blown up


def bare(kind: str, x: Any) -> keras.Model:
    """Return a network of keras.applications, without weights of its own and without a head, on a keras tensor.

    Raises:
        ModelError: if the images are too small for it.
    """
    height, width, _ = x.shape[1:]
    if min(height, width) < SMALLEST:
        raise ModelError(
            f"Networks of keras.applications take images of {SMALLEST} pixels or more; {height}x{width} is too small.",
            f"Enlarge them with --image-size, or choose another --model than {kind}.",
        )
    # The pixels have been normalised; some of these networks would do it once more.
    extra = {} if kind in ("MobileNetV2", "ResNet50V2") else {"include_preprocessing": False}
    return getattr(applications, kind)(input_tensor=x, include_top=False, weights=None, **extra)


def _classifier(x: Any, num_classes: int, kind: str) -> Any:
    """Return class probabilities of a backbone and a head.

    Args:
        x: normalised images, a keras tensor (B, H, W, channels).
        num_classes: how many probabilities to give.
        kind: the name of the backbone in keras.applications.

    Returns:
        (B, num_classes) keras tensor, float32.
    """
    pool, features, dropout, scores, probabilities = HEAD
    x = bare(kind, x).output
    # As an image of one pixel, so that every place of the network has pictures.
    x = layers.GlobalAveragePooling2D(keepdims=True, name=pool)(x)
    x = layers.Dropout(DROPOUT, name=dropout)(layers.Flatten(name=features)(x))
    x = layers.Dense(num_classes, name=scores)(x)
    return layers.Softmax(dtype="float32", name=probabilities)(x)


KINDS = {
    "mobilenet_v2": "MobileNetV2",
    "mobilenet_v3_small": "MobileNetV3Small",
    "efficientnet_v2_b0": "EfficientNetV2B0",
    "resnet50_v2": "ResNet50V2",
    "convnext_tiny": "ConvNeXtTiny",
}
mobilenet_v2, mobilenet_v3_small, efficientnet_v2_b0, resnet50_v2, convnext_tiny = (
    partial(_classifier, kind=kind) for kind in KINDS.values()
)


def cuts(network: keras.Model) -> Mapping[str, Any]:
    """Return the layers behind which all that follows hangs on one tensor alone, in their order, with that tensor.

    Example:
        >>> list(cuts(models.build("mobilenet_v2", (32, 32, 3), 10, mean, std)))[:3]
        ['normalise', 'Conv1', 'bn_Conv1']
    """
    levels = network._nodes_by_depth
    places = [node for depth in sorted(levels, reverse=True) for node in levels[depth] if not node.is_input]
    waited = [id(tensor) for node in places for tensor in node.input_tensors]
    found, open_ = {}, {id(tensor) for tensor in network.inputs}
    for number, node in enumerate(places):
        open_ |= {id(tensor) for tensor in node.outputs}
        waited = waited[len(node.input_tensors) :]
        open_ &= {*waited, *(id(tensor) for tensor in network.outputs)}
        if len(open_) == 1 and number + 1 < len(places) and isinstance(node.operation, keras.layers.Layer):
            found[node.operation.name] = node.outputs[0]
    return found


def cut_at(network: keras.Model, layer: str) -> tuple[keras.Model, keras.Model]:
    """Return a network up to a layer, and from there to its end; both share its layers and weights.

    Raises:
        ModelError: if there is no such layer, or the network has other paths around it.
    """
    possible = cuts(network)
    if layer not in possible or layer in HEAD[1:]:
        around = layer in {each.name for each in network.layers}
        problem = "has paths around that layer" if around else "has no such layer"
        raise ModelError(
            f"--freeze-until {layer}: the network {network.name} {problem}.",
            f"{meant(layer, possible)}Choose auto, all, none, or one of {', '.join(list(possible)[-20:-4:3])}, ...",
        )
    tensor = possible[layer]
    return keras.Model(network.inputs[0], tensor, name="trunk"), keras.Model(tensor, network.output, name="tail")


def features_of(tail: keras.Model) -> keras.Model:
    """Return a network, or the end of one, up to what its last layer makes scores of; it shares the weights."""
    return keras.Model(tail.inputs[0], cuts(tail)[HEAD[1]], name="features")


def start_head(network: keras.Model, features: NDArray[np.float32], labels: NDArray[np.int64]) -> None:
    """Give the last layer of a network the weights of a logistic regression.

    Args:
        network: with a head as all of this module have it; or the end of one.
        features: (N, F) what `features_of` the network makes of N images.
        labels: (N,) their classes; each of them occurs.
    """
    from sklearn.linear_model import LogisticRegression

    deviation = features.std(axis=0) + SMALLEST_DEVIATION
    with hushed():  # that it may come closer yet is no matter for a start
        fitted = LogisticRegression(C=INVERSE_PENALTY, max_iter=ROUNDS).fit(features / deviation, labels)
    weights, bias = fitted.coef_, fitted.intercept_
    if len(weights) == 1:  # of two classes, scikit-learn has the difference of their scores
        weights, bias = np.concatenate([-weights, weights]) / 2, np.concatenate([-bias, bias]) / 2
    network.get_layer(HEAD[3]).set_weights([(weights / deviation).T, bias])


def freeze(network: keras.Model, until: str) -> None:
    """Keep the layers of a network up to `until`, and all statistics and scales of BatchNorm, as they are.

    Each such layer by itself: what a call says of training is overridden under `fit`, and BatchNorm would move. An
    empty `until` leaves the other layers to training.
    """
    frozen = {id(layer) for layer in all_layers(cut_at(network, until)[0])} if until else set()
    for layer in backbone_layers(network):
        if id(layer) in frozen or isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False


def backbone_layers(network: keras.Model) -> Iterator[Any]:
    """Yield the layers before the head, in their order."""
    return (layer for layer in all_layers(network) if layer.name not in HEAD)


def rate_factors(network: keras.Model, last: float) -> dict[str, float]:
    """Return by which factor of the learning rate each layer of a backbone learns, by its name; a head learns by 1.

    What a network sees first is of use for the most tasks, so it changes the least: from layer to layer with weights,
    the factor grows geometrically (Howard & Ruder 2018, arXiv 1801.06146, section 3.2).

    Args:
        network: with layers of a backbone and a head.
        last: the factor of the backbone's last layer; that of its first is the square of it.

    Example:
        >>> rate_factors(network, 0.1)["Conv1"]
        0.01
    """
    names = [layer.name for layer in backbone_layers(network) if layer.weights]
    return {name: last ** (2 - number / max(len(names) - 1, 1)) for number, name in enumerate(names)}
