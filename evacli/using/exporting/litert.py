"""LiteRT, once called TensorFlow Lite: for phones and small devices. TensorFlow brings the converter along."""

import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from evacli.backend import tf
from evacli.using.exporting import Answers, Order
from evacli.using.exporting.frozen import frozen


def convert(order: Order, file: Path) -> None:
    """Write a network for one image; numbers that it takes and gives stay float32 whatever it computes in."""
    with tempfile.TemporaryDirectory() as folder:
        # The module stands for the owner of the variables, of which there are none; nor are gradients needed, among
        # which SiLU's own cannot be saved.
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
        tf.saved_model.save(tf.Module(), folder, frozen(order.network, batch_size=1), options)
        file.write_bytes(_converted(order, folder))
    # By the format's custom, what belongs to a network is a zip file behind it.
    with zipfile.ZipFile(file, "a") as behind:
        for name, text in order.about.items():
            behind.writestr(f"{name}.json", text)


def _converted(order: Order, folder: str) -> bytes:
    converter = tf.lite.TFLiteConverter.from_saved_model(folder)
    if order.quantize:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if order.quantize == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if order.quantize == "int8":
        converter.representative_dataset = lambda: ([image[None]] for image in order.examples)
    converted: bytes = converter.convert()
    return converted


def load(file: Path) -> Answers:
    """Open it in LiteRT, or in what TensorFlow has of it."""
    runner = _interpreter()(str(file)).get_signature_runner()
    return lambda pixels: np.concatenate([next(iter(runner(pixels=image[None]).values())) for image in pixels])


def _interpreter() -> Any:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        return tf.lite.Interpreter
    return Interpreter
