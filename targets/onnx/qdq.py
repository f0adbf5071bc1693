"""A program's graph -> one ONNX model with quantize/dequantize nodes (QDQ), for `targets.onnx` and `targets.tensorrt`.

Three exact rewrites let runtimes fuse it:

* A linear on a tensor of rank 3 becomes reshape, linear of rank 2, reshape; a ReLU that is its only reader goes before the
  second reshape. It is exported as `Gemm` with its int8 weight unchanged. With rank 3 it would be exported as `MatMul` of a
  transposed weight, with an addition, a reshape and the ReLU between it and its quantize node.
* Padding with zeros, quantized as what it pads, becomes the `pads` of the convolution that reads it: int8 kernels pad with
  the zero point. torch's convolution cannot pad one side alone, as TensorFlow's does.
* Shapes are folded into constants, and what describes the export (a third of a small student's file) is removed.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import onnx
import onnxscript.optimizer
import torch
from onnx import numpy_helper
from onnx_ir.passes import Sequential, common

from pose.errors import BackendError, one_line
from targets.graph import halved
from targets.onnx import INPUT, OUTPUTS, zero_points
from targets.patches import share_node_histories

if TYPE_CHECKING:
    from torch.export import ExportedProgram

aten = torch.ops.aten

OPSET = 18  # TensorRT 10 takes it, and torch's exporter writes it without a conversion
MAP_RANK = 4  # of what convolutions read: batch, channels, rows, columns
_RELUS = (aten.relu.default, aten.relu_.default)


def qdq_model(graph: ExportedProgram, half: bool = False) -> onnx.ModelProto:
    """The graph as a checked ONNX model: `images` -> `coords`, `scores`.

    Args:
        graph: is modified.
        half: weights and arithmetic in float16, input and outputs in float32; for a float graph only.

    Raises:
        BackendError: an operator has no ONNX counterpart, or the exporter failed.
    """
    try:
        if half:
            graph = halved(graph)
        _flatten_linears(graph.graph_module)
        with warnings.catch_warnings(), share_node_histories():
            warnings.simplefilter("ignore")  # the exporter warns about itself
            exported = torch.onnx.export(
                graph,
                dynamo=True,
                optimize=False,  # its pattern rewrites take as long as all the rest and match nothing here
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=list(OUTPUTS),
                verbose=False,
            )
        assert exported is not None
        onnxscript.optimizer.fold_constants(exported.model)
        Sequential(
            common.IdentityEliminationPass(),
            common.RemoveUnusedNodesPass(),
            common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
            common.DeduplicateInitializersPass(),
            common.CommonSubexpressionEliminationPass(),
            common.RemoveUnusedNodesPass(),
        )(exported.model)
        model = exported.model_proto
        _fold_padding(model.graph)
        zero_points.separate(model.graph)
        _strip(model)
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # the exporter, its passes and the checker raise types of their own
        raise BackendError(f"ONNX cannot hold the program: {_reason(error)}") from error
    return model


def _flatten_linears(module: torch.fx.GraphModule) -> None:
    """The first of the two rewrites; see the module."""
    for node in list(module.graph.nodes):
        if node.target != aten.linear.default or node.meta["val"].ndim == 2:
            continue
        users = list(node.users)
        last = users[0] if len(users) == 1 and users[0].target in _RELUS else node
        value, shape = node.args[0], list(node.meta["val"].shape)
        with module.graph.inserting_before(node):
            rows = _view(module.graph, value, [-1, value.meta["val"].shape[-1]])
        node.replace_input_with(value, rows)
        for flattened in {node, last}:
            flattened.meta["val"] = flattened.meta["val"].flatten(0, -2)
        with module.graph.inserting_after(last):
            restored = _view(module.graph, last, shape)
        last.replace_all_uses_with(restored, delete_user_cb=lambda user, own=restored: user is not own)
    module.recompile()


def _view(graph: torch.fx.Graph, value: Any, shape: list[int]) -> Any:
    node = graph.call_function(aten.reshape.default, (value, shape))
    node.meta["val"] = value.meta["val"].reshape(shape)
    return node


def _fold_padding(graph: onnx.GraphProto) -> None:
    """The second of the rewrites; see the module. Dequantize, Pad, quantize, dequantize, Conv -> dequantize, Conv."""
    constants = {tensor.name: tensor for tensor in graph.initializer}
    makers = {output: node for node in graph.node for output in node.output}
    reads = Counter(name for part in (*graph.node, *graph.output) for name in getattr(part, "input", (part.name,)))
    folded: list[onnx.NodeProto] = []
    for convolution in (node for node in graph.node if node.op_type == "Conv"):
        chain = [convolution]  # the nodes before it, from the last to the first
        for kind in ("DequantizeLinear", "QuantizeLinear", "Pad", "DequantizeLinear"):
            node = makers.get(chain[-1].input[0])
            if node is None or node.op_type != kind or (kind != "DequantizeLinear" and reads[node.output[0]] != 1):
                break
            chain.append(node)
        else:
            _, after, quantize, pad, before = chain
            amounts = _added(pad, constants)
            pads = next((value.ints for value in convolution.attribute if value.name == "pads"), [0, 0, 0, 0])
            same_scale = after.input[1:] == quantize.input[1:] == before.input[1:]
            if amounts is None or not same_scale or reads[after.output[0]] != 1:
                continue
            attributes = [value for value in convolution.attribute if value.name not in ("pads", "auto_pad")]
            padded = [own + more for own, more in zip(pads, amounts, strict=True)]
            del convolution.attribute[:]
            convolution.attribute.extend([*attributes, onnx.helper.make_attribute("pads", padded)])
            convolution.input[0] = before.output[0]
            folded += [after, quantize, pad]
    for node in folded:
        graph.node.remove(node)


def _added(pad: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto]) -> list[int] | None:
    """Zeros that a Pad adds before and after the rows and columns of a map: (top, left, bottom, right), or None."""
    modes = [value.s for value in pad.attribute if value.name == "mode"]
    names = [name for name in pad.input[1:] if name]
    if modes not in ([], [b"constant"]) or not names or len(pad.input) > 3 or not all(name in constants for name in names):
        return None
    amounts, *value = (numpy_helper.to_array(constants[name]) for name in names)
    batch_or_channels = amounts.reshape(2, -1)[:, :2]
    if amounts.size != 2 * MAP_RANK or batch_or_channels.any() or amounts.min() < 0 or any(one.any() for one in value):
        return None
    return [int(amount) for amount in amounts.reshape(2, -1)[:, 2:].flatten()]


def _strip(model: onnx.ModelProto) -> None:
    """Remove what describes the export."""
    model.ClearField("metadata_props")
    graph = model.graph
    for field in ("metadata_props", "value_info"):
        graph.ClearField(field)
    for part in (*graph.node, *graph.initializer, *graph.input, *graph.output):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")


def _reason(error: BaseException) -> str:
    """The message of the first error in a chain of errors."""
    while error.__cause__ is not None:
        error = error.__cause__
    return one_line(error, 200)
