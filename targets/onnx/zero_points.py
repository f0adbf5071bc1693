"""Zero points of a model with quantize/dequantize nodes, as ONNX Runtime's kernels for x86 need them."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper


def for_x86(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy with the same values whose int8 activations are uint8: q + 128 with zero point + 128 is the same number.

    Weights stay int8, and so does what is computed of constants alone: zeros that a decoder starts from, for instance.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    constants = {tensor.name: tensor for tensor in copy.graph.initializer}
    fixed, shifted = set(constants), dict[str, str]()
    for node in copy.graph.node:
        if all(name in fixed for name in node.input):
            fixed.update(node.output)
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear") or node.input[0] in fixed:
            continue
        name = node.input[2]
        zero_point = numpy_helper.to_array(constants[name])
        if zero_point.dtype == np.int8:
            if name not in shifted:
                shifted[name] = f"{name}_unsigned"
                value = (zero_point.astype(np.int16) + 128).astype(np.uint8)
                copy.graph.initializer.append(numpy_helper.from_array(value, shifted[name]))
            node.input[2] = shifted[name]
    separate(copy.graph)
    return copy


def separate(graph: onnx.GraphProto) -> None:
    """Give each weight a zero point of its own: the mode `EXACT` replaces each one, and fails where two weights share it."""
    constants, taken = {tensor.name: tensor for tensor in graph.initializer}, set[str]()
    for node in graph.node:
        if node.op_type != "DequantizeLinear" or node.input[0] not in constants:
            continue
        name = node.input[2]
        if name in taken:
            own = onnx.TensorProto()
            own.CopyFrom(constants[name])
            own.name = node.input[2] = f"{node.input[0]}_zero_point"
            graph.initializer.append(own)
        taken.add(name)
