"""Rewrites of a program's graph, in place, so that XNNPACK takes more of it.

* Padding between a dequantize node and a convolution loses the quantize and dequantize nodes after it. They change no value,
  because the scale is the same and 0 is exact. With them the partitioner pads in float; without them XNNPACK pads the int8
  tensor, inside the convolution. The outputs are the same to the bit.
* LayerNorm, which the partitioner never takes, becomes operators that it takes. Mean and variance are linears of one output
  with the weight 1/n: `mean` is delegated over the pixels of a map only. The outputs differ from LayerNorm's by the rounding
  of float32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from targets.graph import is_dequantize, is_quantize

if TYPE_CHECKING:
    from torch.export import ExportedProgram

aten = torch.ops.aten


def for_xnnpack(program: ExportedProgram) -> None:
    """Apply both rewrites to a float32 or int8 program, in place."""
    for padding in program.graph.find_nodes(op="call_function", target=aten.pad.default):
        _pad_in_int8(padding)
    for norm in program.graph.find_nodes(op="call_function", target=aten.layer_norm.default):
        _spell_out(norm, program)
    program.graph.eliminate_dead_code()
    program.graph_module.recompile()


def _pad_in_int8(padding: Any) -> None:
    source, amounts = padding.args[:2]
    mode, value = _argument(padding, 2, "constant"), _argument(padding, 3, None)
    if mode != "constant" or value or min(amounts) < 0 or not is_dequantize(source):
        return
    quantized = list(padding.users)
    if len(quantized) != 1 or not is_quantize(quantized[0]) or quantized[0].args[1:] != source.args[1:]:
        return
    readers = [reader for dequantized in quantized[0].users for reader in dequantized.users]
    if [reader.target for reader in readers] == [aten.conv2d.default]:  # XNNPACK pads inside a convolution, and only there
        readers[0].replace_input_with(readers[0].args[0], padding)


def _spell_out(norm: Any, program: ExportedProgram) -> None:
    """(x - mean) / sqrt(variance + eps) * weight + bias over the last axis, in place of a LayerNorm."""
    graph, (tokens, shape) = norm.graph, norm.args[:2]
    weight, bias, eps = _argument(norm, 2, None), _argument(norm, 3, None), float(_argument(norm, 4, 1e-5))
    if len(shape) != 1:
        return
    # Constants of each norm's own: one that two delegates read is lost when they are made.
    averaging = _constant(program, f"averaging_{norm.name}", torch.full((1, shape[0]), 1 / shape[0]))
    epsilon = _constant(program, f"epsilon_{norm.name}", torch.tensor([eps]))

    def call(operator: Any, *inputs: Any) -> Any:
        node = graph.call_function(operator, inputs)
        node.meta["val"] = operator(*(value.meta["val"] for value in inputs))
        return node

    with graph.inserting_before(norm):
        centred = call(aten.sub.Tensor, tokens, call(aten.linear.default, tokens, averaging))
        square = call(aten.mul.Tensor, centred, centred)
        variance = call(aten.linear.default, square, averaging, epsilon)
        result = call(aten.mul.Tensor, centred, call(aten.rsqrt.default, variance))
        result = result if weight is None else call(aten.mul.Tensor, result, weight)
        result = result if bias is None else call(aten.add.Tensor, result, bias)
    norm.replace_all_uses_with(result)


def _argument(node: Any, index: int, default: Any) -> Any:
    return node.args[index] if len(node.args) > index else default


def _constant(program: ExportedProgram, name: str, value: torch.Tensor) -> Any:
    """The placeholder of a new constant."""
    from executorch.backends.transforms.utils import create_constant_placeholder
    from torch.export.graph_signature import InputKind

    with program.graph.inserting_before(next(iter(program.graph.nodes))):
        return create_constant_placeholder(program, program.graph, name, InputKind.CONSTANT_TENSOR, value)
