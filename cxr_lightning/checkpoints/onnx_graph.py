"""Which ONNX files are refused by their graph, without running it: all but known operators on numbers in the file.

An ONNX file is a program. Loops, functions, other files, random numbers and sizes that depend on pixels are refused, so
that memory and time depend on the number of images alone.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, TensorProto

_MAX_NODES = 50_000
_MAX_METADATA_BYTES = 10_000_000
_DOMAINS = frozenset({"", "ai.onnx"})
_ELEMENTWISE = (
    *("Abs", "Add", "And", "BatchNormalization", "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor", "Cast"),
    *("CastLike", "Ceil", "Celu", "Clip", "CumSum", "DequantizeLinear", "Div", "Dropout", "DynamicQuantizeLinear"),
    *("Elu", "Equal", "Erf", "Exp", "Floor", "Gelu", "Greater", "GreaterOrEqual", "GroupNormalization"),
    *("HardSigmoid", "HardSwish", "Identity", "InstanceNormalization", "IsInf", "IsNaN", "LRN", "LayerNormalization"),
    *("LeakyRelu", "Less", "LessOrEqual", "Log", "LogSoftmax", "LpNormalization", "Max", "Mean"),
    *("MeanVarianceNormalization", "Min", "Mish", "Mod", "Mul", "Neg", "Not", "Or", "PRelu", "Pow", "QuantizeLinear"),
    *("RMSNormalization", "Reciprocal", "Relu", "Round", "Selu", "Sigmoid", "Sign", "Softmax", "Softplus", "Softsign"),
    *("Sqrt", "Sub", "Sum", "Swish", "Tanh", "ThresholdedRelu", "Trilu", "Where", "Xor", "Sin", "Cos"),
)
_LAYERS = (
    *("Attention", "AveragePool", "Conv", "ConvInteger", "ConvTranspose", "Einsum", "Gemm", "GlobalAveragePool"),
    *("GlobalMaxPool", "MatMul", "MatMulInteger", "MaxPool", "QLinearConv", "QLinearMatMul", "ArgMax", "ArgMin"),
)
_REDUCTIONS = (
    *("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin"),
    *("ReduceProd", "ReduceSum", "ReduceSumSquare"),
)
_SHAPES = ("Shape", "Size")
"""Operators whose output depends on the size of their input alone."""
_MOVES = (
    *("Concat", "Constant", "DepthToSpace", "Flatten", "Gather", "GatherElements", "GatherND", "ScatterElements"),
    *("ScatterND", "SpaceToDepth", "Transpose"),
)
_SIZED = {
    **dict.fromkeys(("Expand", "Pad", "Reshape", "Slice", "Tile", "TopK", "Resize", "Upsample", "OneHot"), 1),
    **dict.fromkeys(("Split", "Squeeze", "Unsqueeze", *_REDUCTIONS), 1),
    **dict.fromkeys(("ConstantOfShape", "EyeLike", "Range"), 0),
}
"""Operators of whose output some inputs decide the size: the number of the first of these."""
KNOWN_OPERATORS = frozenset({*_ELEMENTWISE, *_LAYERS, *_SHAPES, *_MOVES, *_SIZED})
"""Operators of ONNX of which networks consist; none has a graph of its own, reads a file or draws random numbers.

Dropout and BatchNormalization do in training, which is refused.
"""
_DIVISIONS = ("Div", "Mod")
_FLOATS = (1, 10, 11, 16)
"""Types of floating-point numbers in ONNX."""
_ATTRIBUTE_FIELDS = frozenset({"name", "type", "doc_string", "f", "i", "s", "t", "floats", "ints", "strings"})
"""Fields of an attribute: its name, and numbers, texts and tensors as the known operators have them."""


def graph_problem(model: "ModelProto") -> str:
    """Why an ONNX model is refused, as a clause; empty if it is not.

    Args:
        model: The parsed file.
    """
    return next(_problems(model), "")


def _problems(model: "ModelProto") -> Iterator[str]:
    graph = model.graph
    if len(graph.node) > _MAX_NODES:
        yield f"it has {len(graph.node):,} nodes, more than {_MAX_NODES:,}"
        return
    if model.functions or model.training_info or graph.sparse_initializer:
        yield "it has functions, training information or sparse tensors"
    if sum(len(entry.value) for entry in model.metadata_props) > _MAX_METADATA_BYTES:
        yield f"its metadata has more than {_MAX_METADATA_BYTES:,} characters"
    for node in graph.node:
        if node.domain not in _DOMAINS or node.op_type not in KNOWN_OPERATORS:
            yield f"it uses the operator {f'{node.domain}.{node.op_type}'.lstrip('.')[:80]!r}, which is not allowed"
        yield from _attribute_problems(node)
        if _is_of_training(node):
            yield f"its operator {node.op_type} is in training mode"
    for tensor in _tensors(graph):
        if tensor.external_data or tensor.data_location:
            yield f"its tensor {tensor.name[:80]!r} is in another file"
    yield from _repeated_names(graph)
    yield from _sizes_of_pixels(graph.node, [value.name for value in graph.input])
    yield from _divisions_of_pixels(model)


def _repeated_names(graph: "GraphProto") -> Iterator[str]:
    """Values that are declared twice, whose types then depend on the reader, or are computed twice."""
    declared = (value.name for value in (*graph.input, *graph.output, *graph.value_info))
    computed = (name for node in graph.node for name in node.output if name)
    for names in (declared, computed):
        for name, count in Counter(names).items():
            if count > 1:
                yield f"it names the value {name[:80]!r} {count} times"


def _attribute_problems(node: "NodeProto") -> Iterator[str]:
    for attribute in node.attribute:
        for field in {field.name for field, _ in attribute.ListFields()} - _ATTRIBUTE_FIELDS:
            what = "a graph of its own" if field in ("g", "graphs") else f"an attribute of the kind {field!r}"
            yield f"its operator {node.op_type} has {what}"


def _is_of_training(node: "NodeProto") -> bool:
    """Whether it draws random numbers or depends on the other images, as in training."""
    if node.op_type == "Dropout":
        return any(node.input[2:])  # whether it is training
    if node.op_type == "BatchNormalization":
        trains = any(attribute.name == "training_mode" and attribute.i for attribute in node.attribute)
        return trains or any(node.output[1:])  # the statistics of the batch
    return False


def _tensors(graph: "GraphProto") -> Iterator["TensorProto"]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t


def _sizes_of_pixels(nodes: Sequence["NodeProto"], inputs: Iterable[str]) -> Iterator[str]:
    """Operators whose output's size depends on values of the pixels: an image could then exhaust the memory."""
    of_pixels = _of_pixels(nodes, inputs)
    for node in nodes:
        if (first := _SIZED.get(node.op_type)) is not None and not of_pixels.isdisjoint(node.input[first:]):
            yield f"the size of its operator {node.op_type} depends on pixels"


def _divisions_of_pixels(model: "ModelProto") -> Iterator[str]:
    """Divisions of whole numbers that depend on pixels: by zero, or with an overflow, the system ends the program."""
    from onnx.shape_inference import infer_shapes  # of an extra

    nodes = [node for node in model.graph.node if node.op_type in _DIVISIONS]
    dependent = _of_pixels(model.graph.node, [value.name for value in model.graph.input])
    if dependent.isdisjoint(name for node in nodes for name in node.output):
        return
    graph = infer_shapes(model).graph
    types = {value.name: value.type.tensor_type.elem_type for value in (*graph.value_info, *graph.output)}
    for node in nodes:
        if not dependent.isdisjoint(node.output) and types.get(node.output[0]) not in _FLOATS:
            yield f"its operator {node.op_type} divides whole numbers that depend on pixels"


def _of_pixels(nodes: Iterable["NodeProto"], inputs: Iterable[str]) -> set[str]:
    """Names of the values that depend on values of the pixels."""
    found = set(inputs)
    for node in nodes:  # in the order of their computation
        if node.op_type not in _SHAPES and not found.isdisjoint(node.input):
            found.update(node.output)
    return found
