"""OpenVINO's format: two files, `.xml` and `.bin`."""

from pathlib import Path

import openvino

from evacli.using.exporting import Answers, Order
from evacli.using.exporting.frozen import INPUT, OUTPUT, frozen


def convert(order: Order, file: Path) -> None:
    """Write a network for any number of images."""
    graph = file.with_suffix(".pb")
    graph.write_bytes(frozen(order.network).graph.as_graph_def().SerializeToString())
    # By the runtime's own reader: the converter of the package would first call home.
    model = openvino.Core().read_model(graph)
    model.inputs[0].tensor.set_names({INPUT})
    model.outputs[0].tensor.set_names({OUTPUT})
    for name, text in order.about.items():
        model.set_rt_info(text, ["model_info", name])
    openvino.save_model(model, file, compress_to_fp16=order.quantize == "float16")
    graph.unlink()


def load(file: Path) -> Answers:
    """Open it in OpenVINO, computing in float32 also where the processor would be faster in less."""
    compiled = openvino.Core().compile_model(file, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda pixels: compiled(pixels)[0]
