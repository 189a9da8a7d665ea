"""The user's own network: a function in a Python file.

`--model path/to/file.py:build` names a callable `(input_shape, num_classes) -> keras.Model`. It gets the shape of one
image, (H, W, channels), already normalised when it arrives. Its model gives one value a class: probabilities, through a
softmax at its end, or scores, to which evacli adds the softmax. It has to consist of Keras' own layers and operations,
since `best.keras` opens where nobody has heard of the file. What its layers compute in is for `--precision` to say.
"""

import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np

from evacli import console, memory
from evacli.backend import keras, moved, pinned
from evacli.errors import MemoryShort, ModelError
from evacli.models import weights
from evacli.models.logits import ends_in_softmax, last_operation
from evacli.models.nested import all_layers
from evacli.network_file import EXPECTED
from evacli.paths import on_file, shown, split
from evacli.streams import Stderr

_PRECISION = "Leave that out; --precision says what the layers compute in."
# What a graph takes as the name of a scope.
_PLAIN = re.compile(r"[A-Za-z0-9_.>/-]*")
# Names of the layers beside the user's model, one name each.
_TAKEN = ("pixels", "normalise", "input_noise", "probabilities")


def apply(reference: str, x: Any, num_classes: int) -> Any:
    """Return class probabilities of the user's network.

    Args:
        reference: `path/to/file.py:function`; without the function's name it is `build`.
        x: normalised images, a keras tensor (B, H, W, channels).
        num_classes: how many probabilities to give.

    Returns:
        (B, num_classes) keras tensor, float32.

    Raises:
        ModelError: if the file, the function or its model cannot be used, with the reason.
        MemoryShort: if the model asks for more weights than could be trained here.
    """
    with weights.counted(_afford(reference)):
        model = _make(reference, tuple(x.shape[1:]), num_classes)
        values = _values(reference, model, x)
    shape = getattr(values, "shape", f"a {type(values).__name__}")
    if shape != (None, num_classes):
        raise _error(reference, f"its model gives {shape} instead of (None, {num_classes}) values")
    _require_reloadable(reference, model)
    if ends_in_softmax(model):
        return values
    _require_scores(reference, model, tuple(x.shape[1:]))
    return keras.layers.Softmax(dtype="float32", name="probabilities")(values)


def _afford(reference: str) -> Callable[[int], None]:
    """Return what refuses weights that are too many, told how many bytes they take so far; or warns of them, once."""
    free, warned = memory.available(), False

    def check(taken: int) -> None:
        nonlocal warned
        needed = weights.COPIES * taken
        if free is None or needed <= free or (warned and needed <= memory.DOUBT * free):
            return
        told = (
            f"Training --model {on_file(reference, shown)} takes at least {needed / 2**30:,.1f} GB of memory for its "
            f"weights; {free / 2**30:.1f} GB are free."
        )
        if needed > memory.DOUBT * free:
            raise MemoryShort(told, "Use a smaller network.")
        console.warn(
            f"{told} Use a smaller network."
        )  # before they are there: the system may end the process meanwhile
        warned = True

    return check


def _make(reference: str, input_shape: tuple[int, ...], num_classes: int) -> keras.Model:
    path, name = split(reference)
    try:
        # What the file prints, often a model summary, must not mix with the results on stdout.
        with redirect_stdout(Stderr()), pinned(), _imported(path) as module:
            function: Callable[..., Any] | None = getattr(module, name, None)
            model = function(input_shape, num_classes) if function else None
            settings = moved()
    except MemoryShort:
        raise
    # A script that ends in sys.exit() must not end the command without a word.
    except (Exception, SystemExit) as e:
        raise _error(reference, _reason(e, path)) from e
    for setting, value in settings.items():
        fix = _PRECISION if setting in ("floatx", "dtype_policy") else "Leave that out."
        raise _error(reference, f"it sets {setting} of keras.config to {value}, for all of evacli", fix)
    if function is None:
        raise _error(reference, f"{path.name} defines no {name}")
    if not isinstance(model, keras.Model):
        raise _error(reference, f"{name} returned {type(model).__name__} instead of a keras.Model")
    _require_float32(reference, model)
    _require_plain_names(reference, model)
    if model.name in _TAKEN:
        model.name = f"{model.name}_of_{path.stem}"
    return model


def _require_float32(reference: str, model: keras.Model) -> None:
    # A layer that is to stay in float32 whatever the precision is welcome; one of another type would be trained in it.
    for layer in all_layers(model):
        types = {layer.compute_dtype, layer.variable_dtype} & {"float16", "bfloat16", "float64"}
        if types and not isinstance(layer, keras.layers.InputLayer):
            name = layer.dtype_policy.name
            raise _error(reference, f"its layer {layer.name} is made with the dtype {name}", _PRECISION)


def _require_plain_names(reference: str, model: keras.Model) -> None:
    for layer in model._flatten_layers():  # networks inside it and itself included
        if not _PLAIN.fullmatch(layer.name):
            what = f"its layer {layer.name!r} has a name that TensorFlow does not take"
            raise _error(reference, what, "Use letters from a to z, digits, _ and - alone.")


@contextmanager
def _imported(path: Path) -> Iterator[Any]:
    # Like a script: its folder is importable as long as it runs. What it imports from there stays imported.
    spec = spec_from_file_location(f"evacli_custom_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(str(path.parent.resolve()))
        del sys.modules[spec.name]


def _values(reference: str, model: keras.Model, x: Any) -> Any:
    try:
        return model(x)
    except MemoryShort:
        raise
    except Exception as e:
        raise _error(reference, f"its model does not take {tuple(x.shape[1:])} images: {_reason(e)}") from e


def _require_reloadable(reference: str, model: keras.Model) -> None:
    # A process without the user's file knows none of the classes that the file may have registered.
    registry = keras.saving.get_custom_objects()
    registered = dict(registry)
    registry.clear()
    try:
        problem = _unknown(model)
    finally:
        registry.update(registered)
    if problem:
        raise _error(
            reference,
            f"its model could not be opened without the file: {problem}",
            "Replace Lambda and custom layers by Keras' own layers and keras.ops, models of a class of their own by "
            "keras.Model(inputs, outputs), and functions by the names that Keras has for them: activation='softmax'.",
        )


def _unknown(part: Any) -> str:
    """Tell which part of a network Keras cannot make anew by itself, and why; empty if there is none."""
    try:
        keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(part), safe_mode=True)
    except Exception as e:
        # Of a graph of layers one of them is to blame.
        parts: Iterable[Any] = getattr(part, "operations", getattr(part, "layers", ()))
        found = (_unknown(inner) for inner in parts)
        what = "model" if isinstance(part, keras.Model) else "layer"
        return next(filter(None, found), f"{what} {part.name} ({type(part).__name__}), {_reason(e)}")
    return ""


def _require_scores(reference: str, model: keras.Model, input_shape: tuple[int, ...]) -> None:
    operation = last_operation(model)
    activation = getattr(operation, "activation", None)
    # (8, num_classes) values of noise
    values = np.asarray(model(np.random.default_rng(0).normal(size=(8, *input_shape)).astype(np.float32)))
    hidden = (values >= 0).all() and np.allclose(values.sum(axis=1), 1, atol=1e-3)
    # The softmax of a log_softmax is the softmax of the scores.
    if hidden or activation not in (None, keras.activations.linear, keras.activations.log_softmax):
        raise _error(
            reference,
            f"its model ends in {operation.name}, which gives neither scores nor a softmax",
            "Let its last layer be a softmax, or leave the activation out.",
        )


def _error(reference: str, problem: str, fix: str = "") -> ModelError:
    return ModelError(f"--model {on_file(reference, shown)}: {problem}.", fix or EXPECTED)


def _reason(error: BaseException, path: Path | None = None) -> str:
    # The first line says what went wrong; Keras adds pages of configuration.
    text = " ".join(str(error).strip().split("\n")[0].split())[:300].rstrip(".")
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f"{f'line {lines[-1]}: ' if lines else ''}{type(error).__name__}{f': {text}' if text else ''}"
