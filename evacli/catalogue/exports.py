"""The formats of exported networks: an entry here, and the module that it names, are all that a format needs."""

from typing import Literal

import msgspec

Quantize = Literal["float16", "int8"]


class ExportSpec(msgspec.Struct, frozen=True):
    """Describe a format.

    Attributes:
        about: what it is for, in a few words.
        module: with `convert` and `load`; see `evacli.using.exporting`.
        file: what its file is called, in a folder of its own.
        quantize: the smaller numbers that it can be written in.
        needs: the packages that must be there beside TensorFlow; they come with the extra of the format's name.
    """

    about: str
    module: str
    file: str
    quantize: tuple[Quantize, ...] = ()
    needs: tuple[str, ...] = ()


_ROOM = "evacli.using.exporting."

EXPORTS = {
    "onnx": ExportSpec(
        "for ONNX Runtime", f"{_ROOM}onnx", "model.onnx", ("float16", "int8"), ("tf2onnx", "onnx", "onnxruntime")
    ),
    "litert": ExportSpec("for LiteRT, once TensorFlow Lite", f"{_ROOM}litert", "model.tflite", ("float16", "int8")),
    "savedmodel": ExportSpec("for TensorFlow", f"{_ROOM}savedmodel", "saved_model.pb"),
    "openvino": ExportSpec("for OpenVINO", f"{_ROOM}openvino", "model.xml", ("float16",), ("openvino",)),
}
