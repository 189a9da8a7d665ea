"""Opening a `.keras` file that a stranger may have written: no code in it runs, and it cannot ask for much memory.

evacli writes such files uncompressed. So nothing about an honest one is larger than the file itself: neither its
unpacked parts, nor the arrays in them, nor the weights that its layers ask for.
"""

import math
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from evacli.backend import keras, tf
from evacli.errors import ModelError

CONFIG, WEIGHTS = "config.json", "model.weights.h5"
PARTS = {CONFIG, WEIGHTS, "metadata.json"}
# Keras describes the largest networks of its own, of a thousand layers, in one million bytes.
MAX_CONFIG_BYTES = 2 * 2**20


def load(path: Path) -> keras.Model:
    """The model in a file, not compiled.

    Raises:
        ModelError: if it is cut short, garbled, larger inside than outside, or does not take images of one size.
    """
    try:
        _check_parts(path)
    except Exception as e:  # of a stranger's bytes, whatever the first parser that stumbles over them raises
        raise ModelError(f"{path} is damaged or no .keras file: {_first_sentence(e)}") from e
    try:
        with _weights_within(path.stat().st_size):
            model = keras.models.load_model(path, compile=False, safe_mode=True)
        _check_ends(model)
    except Exception as e:
        raise ModelError(f"{path} is not a model that Keras can load: {_first_sentence(e)}") from e
    return model


def largest_tensor(model: keras.Model, batch_size: int) -> int:
    """How many values the largest of all tensors has that the model computes for a batch.

    Raises:
        ModelError: if its layers cannot work on such a batch.
    """
    images = tf.TensorSpec((batch_size, *model.input_shape[1:]), tf.float32)
    try:
        # Traced, not run: a shape costs nothing, whatever it says.
        graph = tf.function(lambda batch: model(batch, training=False)).get_concrete_function(images).graph
    except Exception as e:
        raise ModelError(f"The model {model.name} cannot be computed: {_first_sentence(e)}") from e
    shapes = [tensor.shape for operation in graph.get_operations() for tensor in operation.outputs]
    return max(shape.num_elements() or 0 for shape in shapes if shape.rank is not None)


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
            if _declared_bytes(arrays) > limit:
                raise ValueError("its arrays are larger than the file")


def _declared_bytes(arrays: h5py.File) -> int:
    sizes: list[int] = []

    def note(name: str, member: Any) -> None:
        if isinstance(member, h5py.Dataset):
            sizes.append(math.prod(member.shape or ()) * member.dtype.itemsize)

    arrays.visititems(note)
    return sum(sizes)


@contextmanager
def _weights_within(limit: int) -> Iterator[None]:
    """Lets no more variables be made than take `limit` bytes: of one too many the memory is not even asked for."""
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


def _called(value: Any) -> Any:
    return value() if callable(value) else value


def _check_ends(model: keras.Model) -> None:
    if not isinstance(model, keras.Model):
        raise ValueError(f"it is a {type(model).__name__}")
    shape = model.input_shape
    if len(model.inputs) != 1 or len(shape) != 4 or shape[0] is not None or not all(shape[1:]):
        raise ValueError("it does not take images of one size")


def _first_sentence(error: Exception) -> str:
    # The first sentence says what went wrong; Keras adds advice, and pages of configuration.
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].split(". ")[0][:200].rstrip(".:") + "."
