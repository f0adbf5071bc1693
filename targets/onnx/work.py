"""Multiply-adds of the layers of an ONNX graph."""

from __future__ import annotations

from math import prod

from onnx import ModelProto, NodeProto, shape_inference

_FLOAT = ("Conv", "ConvTranspose", "Gemm", "MatMul")
_INTEGER = {"QLinearConv": 3, "QLinearMatMul": 3, "ConvInteger": 1, "MatMulInteger": 1}  # and which input its weight is


def layers(model: ModelProto) -> list[tuple[int, bool]]:
    """Multiply-adds of each convolution and matrix product, and whether it multiplies int8 by int8.

    A layer of `QDQ` form, whose data and weight both come from DequantizeLinear, is int8: runtimes fuse it so. Axes of any
    length count as 1.
    """
    graph = shape_inference.infer_shapes(model).graph
    shapes = {value.name: _shape(value) for value in (*graph.input, *graph.value_info, *graph.output)}
    shapes |= {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    shapes |= {
        node.output[0]: list(node.attribute[0].t.dims)
        for node in graph.node
        if node.op_type == "Constant" and node.attribute[0].HasField("t")
    }
    dequantized = {node.output[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    sizes = []
    for node in graph.node:
        if node.op_type in _INTEGER:
            sizes.append((_multiply_adds(node, node.input[_INTEGER[node.op_type]], shapes), True))
        elif node.op_type in _FLOAT:
            sizes.append((_multiply_adds(node, node.input[1], shapes), dequantized.issuperset(node.input[:2])))
    return sizes


def _shape(value: object) -> list[int]:
    return [max(axis.dim_value, 1) for axis in value.type.tensor_type.shape.dim]  # type: ignore[attr-defined]


def _multiply_adds(node: NodeProto, weight: str, shapes: dict[str, list[int]]) -> int:
    """Of one layer; 0 where shape inference does not know its result."""
    if "MatMul" in node.op_type or node.op_type == "Gemm":
        transposed = any(attribute.name == "transA" and attribute.i for attribute in node.attribute)
        return prod(shapes.get(node.output[0], [0])) * shapes.get(node.input[0], [0])[-2 if transposed else -1]
    result = node.input[0] if node.op_type == "ConvTranspose" else node.output[0]
    return prod(shapes.get(result, [0])) * prod(shapes.get(weight, [0])[1:])
