"""What a network would take, told from its traced graph: nothing is run.

A few lines of a stranger's file can ask for any size and loop for any time. What cannot be told is refused, not free.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evacli.backend import tf

Shape = tuple[int, ...]

# Functions inside a graph are understood where one of these calls them.
LOOPS = {"While", "StatelessWhile"}
CALLS = {*LOOPS, "If", "StatelessIf", "Case", "StatelessCase", "PartitionedCall", "StatefulPartitionedCall"}
# Their output is their input's memory, or a weight's.
VIEWS = {"ExpandDims", "Identity", "Placeholder", "ReadVariableOp", "Reshape", "Squeeze", "StopGradient"}
# What stands for a weight or a list of tensors.
HANDLES = {tf.resource.as_datatype_enum, tf.variant.as_datatype_enum}
# Touch each number a few times. An operation that is neither here nor in `PRODUCTS` counts as the worst of its size.
LINEAR = frozenset(
    re.findall(
        r"\w+",
        """
        Abs Add AddN AddV2 All Any ArgMax ArgMin AvgPoolGrad BatchToSpaceND BiasAdd BroadcastTo Cast Ceil
        ClipByValue ConcatV2 Const Cos DepthToSpace Elu Equal Erf Erfc Exp ExpandDims Expm1 Fill Floor FloorDiv
        FloorMod FusedBatchNormV3 GatherNd GatherV2 Greater GreaterEqual Identity IdentityN IsFinite IsInf IsNan
        L2Loss LeakyRelu Less LessEqual Log Log1p LogSoftmax LogicalAnd LogicalNot LogicalOr Max Maximum Mean Min
        Minimum MirrorPad Mul Neg NoOp NotEqual OneHot OnesLike Pack Pad PadV2 Placeholder Pow Prod Range Rank
        ReadVariableOp RealDiv Reciprocal Relu Relu6 Reshape ResizeBicubic ResizeBilinear ResizeNearestNeighbor
        ReverseV2 Round Rsqrt Select SelectV2 Selu Shape Sigmoid Sign Sin Slice Softmax Softplus Softsign
        SpaceToBatchND SpaceToDepth Split SplitV Sqrt Square SquaredDifference Squeeze StopGradient StridedSlice Sub
        Sum Tanh TensorListFromTensor TensorListGetItem TensorListReserve TensorListSetItem TensorListStack Tile
        Transpose Unpack ZerosLike
        """,
    )
)
# That is a matrix decomposition: cubic in the longest side, and the singular values take the most passes, about 20.
WORST = 20
# A window is looked through by a plain loop, which on a processor takes so many times as long as a product of matrices.
SLOW = 100


@dataclass(frozen=True)
class Cost:
    """What one batch takes.

    Attributes:
        largest: the bytes of the largest tensor.
        live: the bytes held at once, where each operation runs as soon as its inputs are there.
        total: the bytes of all tensors; whatever the order, no more can be held.
        steps: how many operations are started, those of a loop in each of its rounds.
        work: how many numbers are multiplied and added, or touched.
        kept: the bytes that a round of a loop keeps for the time after it.
    """

    largest: int = 0
    live: int = 0
    total: int = 0
    steps: int = 0
    work: int = 0
    kept: int = 0

    def __add__(self, other: "Cost") -> "Cost":
        """Either, and whatever of their tensors can be alive at once."""
        return Cost(
            largest=max(self.largest, other.largest),
            live=self.live + other.live,
            total=self.total + other.total,
            steps=self.steps + other.steps,
            work=self.work + other.work,
            kept=self.kept + other.kept,
        )

    def repeated(self, rounds: int) -> "Cost":
        """Return the same as the body of a loop."""
        kept = self.kept * rounds
        return Cost(self.largest, self.live + kept, self.total + kept, self.steps * rounds, self.work * rounds)


def of(graph: Any) -> Cost:
    """Add up what running a graph takes.

    Args:
        graph: of a `tf.function` that was traced for inputs of known sizes.

    Raises:
        ValueError: if it has a tensor whose size, or a loop whose length, the graph does not tell.

    Example:
        >>> square = tf.function(lambda x: x * x).get_concrete_function(tf.TensorSpec((2, 3), tf.float32))
        >>> of(square.graph).largest
        24
    """
    definition = graph.as_graph_def(add_shapes=True)
    return _Counter({f.signature.name: f for f in definition.library.function}).nodes(definition.node, {})


class _Counter:
    """Adds up the nodes of a graph, and those of the functions that they call."""

    def __init__(self, functions: Mapping[str, Any]) -> None:
        self._functions = functions
        self._known: dict[str, Cost] = {}

    def nodes(self, nodes: Sequence[Any], arguments: dict[str, list[Shape]]) -> Cost:
        shapes = arguments | {node.name: _shapes(node) for node in nodes}
        by_name = {node.name: node for node in nodes}
        costs = {}
        for node in nodes:
            costs[node.name] = _own(node, [_input(shapes, name) for name in _inputs(node)], shapes[node.name])
            costs[node.name] += self._called(node, by_name)
        return _together(nodes, costs)

    def _called(self, node: Any, by_name: Mapping[str, Any]) -> Cost:
        names = [name for value in node.attr.values() for name in (value.func.name, *_names(value.list.func)) if name]
        names += [node.op] if node.op in self._functions else []
        if names and node.op not in {*CALLS, *self._functions}:
            raise ValueError(f"it has an operation {node.op}, whose length cannot be told")
        called = sum(map(self._function, names), Cost())
        return called.repeated(_rounds(node, by_name)) if node.op in LOOPS else called

    def _function(self, name: str) -> Cost:
        if name not in self._known:
            function = self._functions[name]
            arguments: dict[str, list[Shape]] = {
                argument.name: [()] if argument.type in HANDLES else _sizes(function.arg_attr[i].attr["_output_shapes"])
                for i, argument in enumerate(function.signature.input_arg)
            }
            self._known[name] = self.nodes(function.node_def, arguments)
        return self._known[name]


def _together(nodes: Sequence[Any], costs: Mapping[str, Cost]) -> Cost:
    """Add up costs, but for what is alive at once."""
    level: dict[str, int] = {}
    for node in nodes:
        level[node.name] = 1 + max((level.get(_name(one), 0) for one in _inputs(node)), default=0)
    needed = dict(level)  # until when
    for node in reversed(nodes):
        until = needed[node.name] if node.op in VIEWS else level[node.name]
        for one in map(_name, _inputs(node)):
            needed[one] = max(needed.get(one, 0), until)
    changes = [0] * (max(needed.values(), default=0) + 2)
    for node in nodes:
        changes[level[node.name]] += costs[node.name].live
        changes[needed[node.name] + 1] -= costs[node.name].live
    found = sum(costs.values(), Cost())
    live = max(np.cumsum(np.array(changes, object)))
    return Cost(found.largest, live, found.total, found.steps, found.work, found.kept)


def _own(node: Any, inputs: list[Shape], outputs: list[Shape]) -> Cost:
    width = max((tf.as_dtype(kind).size for value in node.attr.values() for kind in _kinds(value)), default=4)
    sizes = [width * math.prod(shape) for shape in outputs]
    if node.op == "TensorListFromTensor":
        sizes = [width * math.prod(inputs[0])]
    held = 0 if node.op in VIEWS else sum(sizes)
    kept = width * math.prod(inputs[2]) if node.op == "TensorListSetItem" else 0
    return Cost(max(sizes, default=0), held, held, 1, _work(node, inputs, outputs), kept)


def _work(node: Any, inputs: list[Shape], outputs: list[Shape]) -> int:
    if node.op in PRODUCTS:
        return PRODUCTS[node.op](node, inputs, outputs)
    touched = sum(map(math.prod, (*inputs, *outputs)))
    if node.op in LINEAR or node.op in CALLS:
        return touched
    return WORST * touched * max((side for shape in (*inputs, *outputs) for side in shape), default=1)


def _matrix_product(node: Any, inputs: list[Shape], outputs: list[Shape]) -> int:
    transposed = node.attr["transpose_a"].b or node.attr["adj_x"].b
    inner: int = inputs[0][-2 if transposed else -1]
    return math.prod(outputs[0]) * inner


def _einsum(node: Any, inputs: list[Shape], outputs: list[Shape]) -> int:
    terms = node.attr["equation"].s.decode().split("->")[0].split(",")
    sides: dict[str, int] = {}
    for term, shape in zip(terms, inputs, strict=True):
        unnamed = "0123456789"[: len(shape) - len(term.replace("...", ""))] if "..." in term else ""
        # Those that the dots stand for are counted from the right.
        for label, side in zip(term.replace("...", unnamed[::-1]), shape, strict=True):
            sides[label] = max(side, sides.get(label, 1))
    return math.prod(sides.values())


def _window(node: Any, inputs: list[Shape], outputs: list[Shape]) -> int:
    size: int = math.prod(node.attr["ksize"].list.i)
    return SLOW * math.prod(outputs[0]) * size


PRODUCTS: dict[str, Callable[[Any, list[Shape], list[Shape]], int]] = {
    # The last side of a kernel counts the output's channels, that of a depthwise one none of them.
    **dict.fromkeys(("Conv2D", "Conv3D"), lambda node, i, o: math.prod(o[0]) * math.prod(i[1][:-1])),
    **dict.fromkeys(
        ("Conv2DBackpropInput", "Conv3DBackpropInputV2"), lambda node, i, o: math.prod(i[2]) * math.prod(i[1][:-1])
    ),
    "DepthwiseConv2dNative": lambda node, i, o: math.prod(o[0]) * math.prod(i[1][:2]),
    **dict.fromkeys(("MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3"), _matrix_product),
    "Einsum": _einsum,
    **dict.fromkeys(("AvgPool", "AvgPool3D", "MaxPool", "MaxPool3D"), _window),
}


def _rounds(node: Any, by_name: Mapping[str, Any]) -> int:
    # TensorFlow gives every loop a counter and the most that it may count to, -1 for no end.
    limit = by_name.get(_name(node.input[1]))
    while limit is not None and limit.op in ("Identity", "Max") and _shapes(limit) == [()]:  # of a single number
        limit = by_name.get(_name(limit.input[0]))
    rounds = int(tf.make_ndarray(limit.attr["value"].tensor)) if limit is not None and limit.op == "Const" else -1
    if rounds < 0:
        raise ValueError("it has a loop whose length cannot be told")
    return rounds


def _shapes(node: Any) -> list[Shape]:
    return _sizes(node.attr["_output_shapes"])


def _sizes(value: Any) -> list[Shape]:
    shapes = value.list.shape
    if any(shape.unknown_rank or any(side.size < 0 for side in shape.dim) for shape in shapes):
        raise ValueError("it has a tensor whose size cannot be told")
    return [tuple(side.size for side in shape.dim) for shape in shapes]


def _inputs(node: Any) -> list[str]:
    return [name for name in node.input if not name.startswith("^")]


def _name(reference: str) -> str:
    return reference.partition(":")[0]


def _input(shapes: Mapping[str, list[Shape]], reference: str) -> Shape:
    index = reference.rpartition(":")[2]
    return shapes[_name(reference)][int(index) if index.isdigit() and ":" in reference else 0]


def _names(functions: Iterable[Any]) -> list[str]:
    return [function.name for function in functions]


def _kinds(value: Any) -> list[int]:
    return [kind for kind in (value.type, *value.list.type) if kind]
