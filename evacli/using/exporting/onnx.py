"""ONNX, which most runtimes read."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import tf2onnx
from onnxruntime import quantization
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.transformers.float16 import convert_float_to_float16

from evacli.backend import tf
from evacli.using.exporting import Answers, Order
from evacli.using.exporting.frozen import INPUT, OUTPUT, frozen

_BLOCK = 32  # images that are shown to the network at a time


def convert(order: Order, file: Path) -> None:
    """Write a network for any number of images; it takes and gives float32 whatever it computes in."""
    function = frozen(order.network)
    source, target = function.inputs[0].name, function.outputs[0].name
    model, _ = tf2onnx.convert.from_graph_def(
        _without_erfc(function.graph.as_graph_def()),
        input_names=[source],
        output_names=[target],
        tensors_to_rename={source: INPUT, target: OUTPUT},
    )
    for end in (model.graph.input[0], model.graph.output[0]):
        end.type.tensor_type.shape.dim[0].dim_param = "batch"
    if order.quantize == "float16":
        model = convert_float_to_float16(model, keep_io_types=True)
    if order.quantize == "int8":
        model = _in_int8(model, order, file.with_name("unquantised.onnx"))
    onnx.helper.set_model_props(model, order.about)
    onnx.save(model, file)


def load(file: Path) -> Answers:
    """Open it in ONNX Runtime, on the processor."""
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return lambda pixels: session.run([OUTPUT], {INPUT: pixels})[0]


def _without_erfc(graph: Any) -> Any:
    """Spell erfc(x), which TensorFlow's GELU is made of and ONNX lacks, as 1 - erf(x) in a GraphDef."""
    for node in [node for node in graph.node if node.op == "Erfc"]:
        one, erf = graph.node.add(), graph.node.add()
        one.name, one.op = f"{node.name}/one", "Const"
        one.attr["dtype"].CopyFrom(node.attr["T"])
        one.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(1, tf.as_dtype(node.attr["T"].type)))
        erf.CopyFrom(node)
        erf.name, erf.op = f"{node.name}/erf", "Erf"
        node.op = "Sub"
        node.input[:] = [one.name, erf.name]
    return graph


def _in_int8(model: Any, order: Order, unquantised: Path) -> Any:
    onnx.save(model, unquantised)
    fused, quantised = (unquantised.with_name(f"{name}.onnx") for name in ("fused", "quantised"))
    quant_pre_process(unquantised, fused, skip_symbolic_shape=True)
    quantization.quantize_static(
        fused,
        quantised,
        _Examples(order.examples),
        per_channel=True,
        # In 7 bits: on processors without VNNI the sums of 8 overflow, unnoticed.
        activation_type=quantization.QuantType.QUInt8,
        reduce_range=True,
    )
    found = onnx.load(quantised)
    for path in (unquantised, fused, quantised):
        path.unlink()
    return found


class _Examples(quantization.CalibrationDataReader):
    def __init__(self, examples: Any) -> None:
        self._blocks: Iterator[Any] = (examples[i : i + _BLOCK] for i in range(0, len(examples), _BLOCK))

    def get_next(self) -> Any:
        """Return the next few images by the name of the input, None after the last."""
        block = next(self._blocks, None)
        return None if block is None else {INPUT: block}
