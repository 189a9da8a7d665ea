"""SavedModel, the format of TensorFlow itself: a folder, of which the file is a part."""

from pathlib import Path

from evacli.backend import tf
from evacli.using.exporting import Answers, Order


def convert(order: Order, file: Path) -> None:
    """Write the folder that `file` lies in; what the network says of itself is in the document beside it."""
    order.network.export(file.parent, format="tf_saved_model", verbose=False)


def load(file: Path) -> Answers:
    """Open it in TensorFlow."""
    loaded = tf.saved_model.load(file.parent)
    return lambda pixels: loaded.serve(pixels).numpy()
