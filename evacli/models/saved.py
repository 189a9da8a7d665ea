"""Opening a `.keras` file that a stranger may have written: no code in it runs, and it cannot ask for much.

evacli writes such files uncompressed. So nothing about an honest one is larger than the file itself: neither its
unpacked parts, nor the arrays in them, nor the weights that its layers ask for. What its layers compute is as large,
and takes as long, as they say; that is bounded by what the largest networks of `keras.applications` need.
"""

import json
import math
import re
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from tensorflow.python.framework import op_callbacks

from evacli.backend import keras, tf
from evacli.errors import EvacliError, ModelError
from evacli.messages import short
from evacli.models import cost

CONFIG, WEIGHTS = "config.json", "model.weights.h5"
# What TensorFlow and Keras put before the line that says what went wrong, and the colours around it.
AROUND = re.compile(
    r"Exception encountered when calling .*|in user code:|Graph execution error:|Detected at node .*|\s*File \".*"
    r"|\{\{function_node .*?\}\} |\x1b\[\d+m"
)
PARTS = {CONFIG, WEIGHTS, "metadata.json"}
# Keras describes the largest networks of its own, of a thousand layers, in one million bytes.
MAX_CONFIG_BYTES = 2 * 2**20


# Of the kinds of elements that an array in the configuration may have. A text's would have any size.
NUMBERS = {
    *("bool", "bfloat16", "float16", "float32", "float64"),
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
}
# What a network may take for a batch. In keras.applications, of 2**20 pixels, EfficientNetV2L has 9,000 operations;
# ConvNeXtXLarge multiplies and adds 1.2e12 times, a minute on two cores, and its tensors have 39 GiB together, of which
# less than 1 is held at once. A recurrence over all of 224 x 224 pixels starts two million operations, in ten seconds.
MAX_OPERATIONS = 20_000
MAX_STEPS = 2_000_000
MAX_WORK = 4 * 10**12
MAX_TENSOR_BYTES = 4 * 2**30
MAX_LIVE_BYTES = 8 * 2**30
MAX_TOTAL_BYTES = 64 * 2**30


def load(path: Path) -> keras.Model:
    """Return the model in a file, not compiled.

    Raises:
        ModelError: if it is cut short, garbled, larger inside than outside, or does not turn images of one size into
            one array of numbers.
    """
    try:
        _check_parts(path)
    except Exception as e:  # of a stranger's bytes, whatever the first parser that stumbles over them raises
        raise ModelError(f"{path} is damaged or no .keras file: {first_sentence(e)}") from e
    try:
        _check_config(path)
        # NumPy warns of a stranger's numbers that no float32 can hold; what comes of them is told in the end.
        with _weights_within(path.stat().st_size), _operations_within(MAX_OPERATIONS), np.errstate(all="ignore"):
            model = keras.models.load_model(path, compile=False, safe_mode=True)
        _check_ends(model)
    except Exception as e:
        raise ModelError(f"{path} is not a model that Keras can load: {first_sentence(e)}") from e
    return model


def try_out(model: keras.Model, batch_size: int, called: str = "") -> None:
    """Make sure that a stranger's model can be used: what it would take is told before it runs on one batch.

    Args:
        model: takes (B, H, W, channels) pixels 0..255.
        batch_size: of how many images the batches will be that it is to work on.
        called: what it is called in a message, such as its file; by default by its name.

    Raises:
        ModelError: if its layers cannot work on such a batch, or would take implausibly much memory or time.
    """
    with using(model):
        computed, taken = _trace(model, batch_size)
        for amount, most, words in (
            (taken.largest / 2**30, MAX_TENSOR_BYTES / 2**30, "{:,.0f} GiB for a single layer's output"),
            (taken.live / 2**30, MAX_LIVE_BYTES / 2**30, "{:,.0f} GiB at once"),
            (taken.total / 2**30, MAX_TOTAL_BYTES / 2**30, "{:,.0f} GiB for all layers' outputs"),
            (taken.steps, MAX_STEPS, "{:,} operations"),
            (taken.work, MAX_WORK, "{:.0e} multiplications"),
        ):
            if amount > most:
                needed, limit = words.format(amount), words.format(most).partition(" ")[0]
                raise ModelError(f"{called or _called_by_name(model)} would need {needed}, more than {limit}.")
        # All grey levels. In another thread, so that a signal such as Ctrl-C is heard in this one meanwhile.
        images = np.resize(np.arange(256, dtype=np.float32), (batch_size, *model.input_shape[1:]))
        with ThreadPoolExecutor(1) as thread:
            thread.submit(computed, tf.constant(images)).result()


def _called_by_name(model: keras.Model) -> str:
    return f"The model {short(model.name)}"


@contextmanager
def using(model: keras.Model) -> Iterator[None]:
    """Turn every error of the block, in which a stranger's `model` computes something, into one line.

    Raises:
        ModelError: for whatever the block ran into, unless that was an EvacliError already.

    Example:
        >>> with using(model):
        ...     probabilities = model.predict_on_batch(images)
    """
    try:
        with np.errstate(all="ignore"):
            yield
    except EvacliError:
        raise
    except Exception as e:  # its operations may raise anything
        raise ModelError(f"{_called_by_name(model)} cannot be computed: {first_sentence(e)}") from e


def _trace(model: keras.Model, batch_size: int) -> tuple[Any, cost.Cost]:
    def answer(batch: Any) -> Any:
        said = model(batch, training=False)
        if not tf.is_tensor(said):
            raise ModelError(f"{_called_by_name(model)} does not give one array of numbers.")
        return said

    # Traced, not run: a shape costs nothing, whatever it says. AutoGraph would put other words around an error.
    traced = tf.function(answer, autograph=False)
    with _operations_within(MAX_OPERATIONS):
        computed = traced.get_concrete_function(tf.TensorSpec((batch_size, *model.input_shape[1:]), tf.float32))
    return computed, cost.of(computed.graph)


def _check_parts(path: Path) -> None:
    # Before Keras sees it: of a truncated file it says "File not found", and it takes 4 GiB to be harmless.
    if not path.is_file():
        raise ValueError("it is not a file")
    limit = path.stat().st_size
    with zipfile.ZipFile(path) as archive:
        sizes = {member.filename: member.file_size for member in archive.infolist()}
        if set(sizes) != PARTS:
            raise ValueError(f"it does not consist of {', '.join(sorted(PARTS))}")
        if sum(sizes.values()) > limit or sum(sizes.values()) - sizes[WEIGHTS] > MAX_CONFIG_BYTES:
            raise ValueError(f"it would unpack to {sum(sizes.values()):,} bytes, too much for a model")
        with archive.open(WEIGHTS) as stored, h5py.File(stored) as arrays:
            check_arrays(arrays, limit)


def _check_config(path: Path) -> None:
    # What Keras would do with these before anything bounds it.
    with zipfile.ZipFile(path) as archive:
        unread = [json.loads(archive.read(CONFIG))]
    while unread:
        value = unread.pop()
        if isinstance(value, dict):
            unread += value.values()
            kind, settings = value.get("class_name"), value.get("config")
            if kind in ("__numpy__", "__tensor__") and not _is_number(settings):
                raise ValueError("it has an array of something else than numbers")
            if kind == "__typespec__":
                raise ValueError("it has a type in the place of a layer")
        elif isinstance(value, list):
            unread += value
        elif isinstance(value, str) and value.lower().startswith("stft"):
            raise ValueError("it has a layer for sounds, not for images")


def _is_number(settings: Any) -> bool:
    dtype = settings.get("dtype") if isinstance(settings, dict) else None
    return isinstance(dtype, str) and dtype in NUMBERS


def check_arrays(arrays: h5py.File, limit: int) -> None:
    """Make sure that all arrays of an HDF5 file lie in it, and take no more than `limit` bytes together.

    Raises:
        ValueError: if they do not.
    """
    links: list[Any] = []
    members: list[Any] = []
    # What is raised while h5py visits does not arrive as it is.
    arrays.visititems_links(lambda name, link: links.append(link))
    arrays.visititems(lambda name, member: members.append(member))
    if not all(isinstance(link, h5py.HardLink) for link in links):
        raise ValueError("it has links to other places")
    stored = [member for member in members if isinstance(member, h5py.Dataset)]
    if any(array.external or array.is_virtual for array in stored):
        raise ValueError("it has arrays that lie in other files")
    if sum(math.prod(array.shape or ()) * array.dtype.itemsize for array in stored) > limit:
        raise ValueError("its arrays are larger than the file")


@contextmanager
def _weights_within(limit: int) -> Iterator[None]:
    """Let no more variables be made than take `limit` bytes: of one too many the memory is not even asked for."""
    left, unevaluated = limit, tf.Graph()

    def create(create_next: Callable[..., Any], **arguments: Any) -> Any:
        nonlocal left
        with unevaluated.as_default():
            value = tf.convert_to_tensor(tf.nest.map_structure(_called, arguments["initial_value"]))
        left -= (value.shape.num_elements() or 0) * value.dtype.size
        if left < 0:
            raise ValueError("its layers ask for more weights than the file has")
        return create_next(**arguments)

    with tf.variable_creator_scope(create):
        yield


@contextmanager
def _operations_within(limit: int) -> Iterator[None]:
    """Let no more operations be made, in any graph or outside: a layer may spell out a loop of any length."""
    made = 0

    def count(*_: Any, **__: Any) -> None:
        nonlocal made
        made += 1
        if made > limit:
            raise ValueError(f"its layers consist of more than {limit:,} operations")

    op_callbacks.add_op_callback(count)
    try:
        yield
    finally:
        op_callbacks.remove_op_callback(count)


def _called(value: Any) -> Any:
    return value() if callable(value) else value


def _check_ends(model: keras.Model) -> None:
    if not isinstance(model, keras.Model):
        raise ValueError(f"it is a {type(model).__name__}")
    shape = model.input_shape
    if len(model.inputs) != 1 or len(shape) != 4 or shape[0] is not None or not all(shape[1:]):
        raise ValueError("it does not take images of one size")
    if len(model.outputs) != 1 or "float" not in model.outputs[0].dtype:
        raise ValueError("it does not give one array of numbers")


def first_sentence(error: Exception) -> str:
    """Return what went wrong; Keras adds where, advice, and pages of configuration."""
    lines = [AROUND.sub("", line).strip() for line in str(error).splitlines()]
    return short(next(filter(None, lines), type(error).__name__).split(". ")[0].rstrip(".:")) + "."
