"""TensorRT: explicit-QDQ ONNX that `trtexec` builds on the Jetson (`targets.tensorrt.trtexec`).

Its accuracy is measured here under ONNX Runtime, which does the same arithmetic on the same file.

For TensorRT 10 (JetPack 6.1) and later: the weights are int8 in the file, and the network is strongly typed, so that float
operators stay float. TensorRT's int8 has no zero point: the program has to be of the `symmetric` scheme.

Coverage: TensorRT builds the whole file or refuses it, which makes one delegate; which operators it fuses is decided on the
device. `delegated` counts the file's operators, and the int8 shares are those of operators whose inputs are all quantized.
"""

from __future__ import annotations

import operator
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from pose.card import Coverage, Precision
from pose.program import Program
from targets.base import Artefact, LintFinding, RefusedError
from targets.graph import WEIGHTED, Arithmetic, is_dequantize, quantization_findings
from targets.onnx.backend import OnnxRunner, open_for, write

if TYPE_CHECKING:
    import onnx
    from torch.export import ExportedProgram

aten = torch.ops.aten

_SUPPORTED = {  # become ONNX operators of TensorRT 10's support matrix, or nothing
    *WEIGHTED,
    operator.getitem,
    aten._assert_tensor_metadata.default,
    aten.abs.default,
    aten.adaptive_avg_pool2d.default,
    aten.add.Tensor,
    aten.arange.default,
    aten.arange.start,
    aten.arange.start_step,
    aten.avg_pool2d.default,
    aten.bmm.default,
    aten.cat.default,
    aten.chunk.default,
    aten.clamp.default,
    aten.clamp_min.default,
    aten.constant_pad_nd.default,
    aten.cos.default,
    aten.div.Tensor,
    aten.exp.default,
    aten.expand.default,
    aten.flatten.using_ints,
    aten.gelu.default,
    aten.group_norm.default,
    aten.hardtanh.default,
    aten.hardtanh_.default,
    aten.layer_norm.default,
    aten.log.default,
    aten.matmul.default,
    aten.max_pool2d.default,
    aten.mean.dim,
    aten.mul.Tensor,
    aten.pad.default,
    aten.permute.default,
    aten.relu.default,
    aten.relu6.default,
    aten.relu_.default,
    aten.reshape.default,
    aten.rsub.Scalar,
    aten.select.int,
    aten.sigmoid.default,
    aten.sin.default,
    aten.slice.Tensor,
    aten.softmax.int,
    aten.sqrt.default,
    aten.square.default,
    aten.squeeze.dim,
    aten.stack.default,
    aten.sub.Tensor,
    aten.sum.dim_IntList,
    aten.t.default,
    aten.to.dtype,
    aten.transpose.int,
    aten.unbind.int,
    aten.unflatten.int,
    aten.unsqueeze.default,
    aten.upsample_bilinear2d.vec,
    aten.upsample_nearest2d.vec,
    aten.view.default,
    aten.zeros_like.default,
}


def lower(program: Program, out: Path, precision: Precision = "int8") -> Artefact:
    """Write one graph as `<student>-tensorrt-<precision>.onnx`, run its golden crop under ONNX Runtime, and write its card.

    Raises:
        RefusedError: TensorRT would refuse it; for int8 the program has to be of the symmetric scheme.
    """
    if precision == "int8" and program.card.scheme != "symmetric":
        raise RefusedError(
            f"{program.folder} is {program.card.scheme}, and TensorRT's int8 has no zero points; "
            "quantize the student again with quantize.qat --scheme symmetric"
        )
    return write(program, out, precision, "tensorrt", _coverage, lint)


def open(path: Path, threads: int = 1) -> OnnxRunner:  # noqa: A001, named by the Target protocol
    """Open a `.onnx` made for TensorRT beside its card, under ONNX Runtime on that many threads."""
    return open_for("tensorrt", path, threads)


def lint(program: ExportedProgram) -> list[LintFinding]:
    """What TensorRT refuses (errors), or runs in float because a quantize/dequantize pair is missing (warnings)."""
    findings = []
    zero_points = _constants(program)
    for node in program.graph.nodes:
        if node.op != "call_function":
            continue
        if "quantize_per" in str(node.target):
            findings += _quantization(node, zero_points)
        elif node.target not in _SUPPORTED:
            findings.append(LintFinding("error", node.name, f"TensorRT is not known to support {node.target}"))
        elif node.target in WEIGHTED or node.target == aten.add.Tensor:
            findings += _placement(node)
    return findings + quantization_findings(program)


def _quantization(node: Any, constants: dict[str, torch.Tensor]) -> list[LintFinding]:
    """Errors of one quantize or dequantize node: it needs int8, zero point 0, and a weight's scales along its axis 0."""
    messages = []
    if "per_channel" in str(node.target):
        value, _, zero_point, axis, low, _, dtype = node.args
        shifted = bool(constants[zero_point.name].any())
        if axis != 0 or not all(user.target in WEIGHTED and user.args[1] is node for user in node.users):
            messages.append(f"is quantized along axis {axis}; TensorRT needs a weight's output channels, axis 0")
        if low != -127 or bool((constants[value.name] < -127).any()):
            messages.append("is a weight outside -127..127, which is not symmetric")
    else:
        _, _, zero_point, _, _, dtype = node.args
        shifted = zero_point != 0
    if shifted:
        messages.append("has a zero point other than 0; quantize with quantize.qat --scheme symmetric")
    if dtype != torch.int8:
        messages.append(f"is {dtype}; TensorRT takes int8 activations and weights")
    return [LintFinding("error", node.name, message) for message in messages]


def _placement(node: Any) -> list[LintFinding]:
    """A warning for an operator with one int8 input: it runs in float, and rounding that input gained nothing."""
    quantized = [is_dequantize(value) for value in node.args[:2] if isinstance(value, torch.fx.Node)]
    if not any(quantized) or all(quantized):
        return []
    if node.target == aten.add.Tensor:
        message = "adds int8 to float: it does not fuse; quantize both inputs, or neither"
    else:
        message = "has one int8 input and runs in float; quantize its activation and its weight"
    return [LintFinding("warning", node.name, message)]


def _constants(program: ExportedProgram) -> dict[str, torch.Tensor]:
    """Name of a placeholder -> the parameter, buffer or constant behind it."""
    signature = program.graph_signature
    names = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    values = {**program.state_dict, **program.constants}
    return {placeholder: values[name] for placeholder, name in names.items()}


def _coverage(model: onnx.ModelProto, share: Arithmetic) -> Coverage:
    return Coverage(
        delegates=1,
        delegated=dict(Counter(node.op_type for node in model.graph.node).most_common()),
        undelegated={},
        undelegated_nodes=[],
        int8_ops=share.int8_ops,
        int8_macs=share.int8_macs,
        float_matmul_macs=share.float_matmul_macs,
    )
