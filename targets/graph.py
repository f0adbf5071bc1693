"""Analysis and rewriting of a program's graph for every backend: arithmetic in int8, float16, unsuitable quantization."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from targets.base import LintFinding

if TYPE_CHECKING:
    from torch.export import ExportedProgram

aten = torch.ops.aten

WEIGHTED = (aten.conv2d.default, aten.linear.default)
_PRODUCTS = (aten.bmm.default, aten.matmul.default)
_LAYOUT = (aten.view.default, aten.reshape.default, aten.flatten.using_ints, aten.slice.Tensor, aten.squeeze.dim)


@dataclass(frozen=True)
class Arithmetic:
    """Shares in 0..1, see the fields of the same names in `pose.card.Coverage`; and the multiply-adds of all operators."""

    int8_ops: float
    int8_macs: float
    float_matmul_macs: float
    multiply_adds: int


def arithmetic(program: ExportedProgram, int8_products: bool = True) -> Arithmetic:
    """The shares of a program's arithmetic in int8. An operator is int8 if all its inputs come from dequantize nodes.

    Args:
        int8_products: False for a backend that multiplies two activations in float even if both are dequantized.
    """
    ops = int8_ops = weighted = int8_weighted = products = float_products = 0
    for node in _calls(program):
        if node.target not in (*WEIGHTED, *_PRODUCTS):
            continue
        left, right = node.args[:2]
        may_be_int8 = int8_products or node.target in WEIGHTED
        is_int8 = may_be_int8 and is_dequantize(left) and is_dequantize(right)
        per_output = right.meta["val"][0].numel() if node.target in WEIGHTED else left.meta["val"].shape[-1]
        macs = node.meta["val"].numel() * per_output
        ops += 1
        int8_ops += is_int8
        if node.target in WEIGHTED:
            weighted += macs
            int8_weighted += macs * is_int8
        else:
            products += macs
            float_products += macs * (not is_int8)
    every = weighted + products
    return Arithmetic(
        int8_ops / max(ops, 1), int8_weighted / max(weighted, 1), float_products / max(every, 1), multiply_adds=every
    )


class _Half(nn.Module):
    def __init__(self, student: nn.Module) -> None:
        super().__init__()
        self.student = student

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        coords, scores = self.student(images)
        return coords.float(), scores.float()


def halved(program: ExportedProgram, in_float: Callable[[Any], bool] = lambda _: False) -> ExportedProgram:
    """A float program with weights and arithmetic in float16; input and outputs stay float32.

    Args:
        program: is modified and must not be used afterwards.
        in_float: tells which nodes stay float32. So do nodes that read nothing but results of such nodes.
    """
    (example,), _ = program.example_inputs
    module = program.module()
    with torch.no_grad():
        _halve(module, in_float)
        return torch.export.export(_Half(module), (example,))


def _halve(module: Any, in_float: Callable[[Any], bool]) -> None:
    graph = module.graph
    kept: dict[Any, None] = {}  # the nodes that stay float32, in order
    for node in graph.nodes:
        inputs = node.all_input_nodes
        if node.op == "call_function" and (in_float(node) or (inputs and all(value in kept for value in inputs))):
            kept[node] = None
    floats = {value.target for node in kept for value in node.all_input_nodes if value.op == "get_attr"}
    constants = dict(chain(module.named_parameters(), module.named_buffers()))
    values = {name: constants[name].detach().clone() for name in floats}
    module.half()
    for name, value in values.items():
        owner, _, leaf = name.rpartition(".")
        kept_float = nn.Parameter(value) if isinstance(constants[name], nn.Parameter) else value
        setattr(module.get_submodule(owner), leaf, kept_float)

    def cast(value: Any, reader: Any, dtype: torch.dtype) -> None:
        with graph.inserting_before(reader):
            reader.replace_input_with(value, graph.call_function(aten.to.dtype, (value, dtype)))

    for node in list(graph.nodes):
        if node.op == "call_function" and node not in kept:
            for value in node.all_input_nodes:
                if value.op == "placeholder" or value in kept:
                    cast(value, node, torch.float16)
    for node in kept:
        for value in node.all_input_nodes:
            if value.op == "call_function" and value not in kept:
                cast(value, node, torch.float32)
    module.recompile()


def quantization_findings(program: ExportedProgram) -> list[LintFinding]:
    """Quantization that costs accuracy in any backend: joined ranges that differ, outputs in int8 or that share a scale."""
    findings = []
    for node in _calls(program):
        if node.target == aten.cat.default:
            ranges = {value.args[1:3] for value in node.args[0] if is_dequantize(value)}
            if len(ranges) > 1:
                message = f"concatenates {len(ranges)} int8 ranges: all but one are quantized a second time"
                findings.append(LintFinding("warning", node.name, message))
    sources: dict[Any, str] = {}
    outputs: Any = program.graph.output_node().args[0]
    for output in outputs:
        source = output
        while source.target in _LAYOUT:
            source = source.args[0]
        if not is_dequantize(source):
            continue
        step = f"its step is {source.args[1]:.5f}"
        findings.append(LintFinding("warning", output.name, f"leaves the network in int8: {step}"))
        if source.args[0] in sources:
            message = f"shares one int8 scale with {sources[source.args[0]]}; emit separate tensors"
            findings.append(LintFinding("error", output.name, message))
        sources[source.args[0]] = output.name
    return findings


def _calls(program: ExportedProgram) -> Iterator[Any]:
    return (node for node in program.graph.nodes if node.op == "call_function")


def is_dequantize(value: object) -> bool:
    """Whether a value is the result of a dequantize node."""
    return isinstance(value, torch.fx.Node) and "dequantize" in str(value.target)


def is_quantize(value: object) -> bool:
    """Whether a value is the result of a quantize node."""
    return isinstance(value, torch.fx.Node) and ".quantize" in str(value.target)
