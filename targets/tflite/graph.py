"""A program in the form that litert-torch converts: NHWC input, outputs by name, float weights before quantize nodes."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any

import torch
import torch.ao.quantization.fx._decomposed
from torch import Tensor, nn

from targets.patches import pad_in_nhwc, share_node_histories, without_progress_bar

if TYPE_CHECKING:
    from torch.export import ExportedProgram

aten = torch.ops.aten
decomposed = torch.ops.quantized_decomposed

_QUANTIZATION = (decomposed.quantize_per_tensor.default, decomposed.dequantize_per_tensor.default)


class ForLiteRT(nn.Module):
    """A program as a module that takes normalised images float32 [1, H, W, 3]."""

    __module__ = "targets.tflite_graph"  # in the file's tensor names: kept when the class moved, so that files stay the same

    def __init__(self, program: ExportedProgram) -> None:
        super().__init__()
        self.student: Any = program.module()
        self.training = False  # `eval()` would be passed on to the exported graph, which refuses it
        _unfold_weights(self.student)
        _resize_in_float(self.student)
        _flatten_in_place(self.student)
        self.student.graph.eliminate_dead_code()
        self.student.recompile()

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        coords, scores = self.student(images.permute(0, 3, 1, 2))
        return {"coords": coords, "scores": scores}


def convert(program: ExportedProgram, height: int, width: int, *, quantized: bool) -> bytes:
    """The program as the bytes of a `.tflite`; a quantized one takes int8 images: its first quantize node is removed.

    Raises:
        ModuleNotFoundError: litert-torch is not installed.
        Exception: whatever litert-torch raises.
    """
    import litert_torch
    from litert_torch.quantize import pt2e_quantizer
    from litert_torch.quantize.quant_config import QuantConfig

    static = pt2e_quantizer.PT2EQuantizer().set_global(pt2e_quantizer.get_symmetric_quantization_config())
    images = torch.zeros(1, height, width, 3)
    with share_node_histories(), pad_in_nhwc(), without_progress_bar():
        model = litert_torch.convert(
            ForLiteRT(program), sample_kwargs={"images": images}, quant_config=QuantConfig(static) if quantized else None
        )
    return model.model_content()


def _unfold_weights(module: Any) -> None:
    """Replace int8 constant -> dequantize by float constant -> quantize -> dequantize, which rounds to the same int8.

    The converter fails on constants that are int8 already.
    """
    graph = module.graph
    for node in graph.find_nodes(op="call_function", target=decomposed.dequantize_per_channel.default):
        stored, scale, zero_point, *rest = node.args
        weight, *parameters = (attrgetter(constant.target)(module) for constant in (stored, scale, zero_point))
        name = f"unfolded_{node.name}"
        module.register_buffer(name, decomposed.dequantize_per_channel(weight, *parameters, *rest))
        with graph.inserting_before(node):
            quantized = graph.call_function(
                decomposed.quantize_per_channel.default, (graph.get_attr(name), scale, zero_point, *rest)
            )
        node.replace_input_with(stored, quantized)


def _resize_in_float(module: Any) -> None:
    """Keep a resizing float that the program computes in float, by a multiplication before it and its inverse after it.

    Without them the converter resizes the int8 tensor in front of the dequantize node, and rounds once more.
    """
    graph = module.graph
    for node in graph.find_nodes(op="call_function", target=aten.upsample_bilinear2d.vec):
        (reader, *_) = node.users
        if reader.target in _QUANTIZATION or node.args[0].target not in _QUANTIZATION:
            continue
        with graph.inserting_before(node):
            node.replace_input_with(node.args[0], graph.call_function(aten.mul.Tensor, (node.args[0], 2.0)))
        with graph.inserting_after(node):
            halved = graph.call_function(aten.mul.Tensor, (node, 0.5))
        node.replace_all_uses_with(halved, lambda user, halved=halved: user is not halved)


def _flatten_in_place(module: Any) -> None:
    """Replace flatten and transpose, [N, C, H, W] -> [N, C, H * W] -> [N, H * W, C], by a permutation and flatten.

    In a `.tflite`, whose memory is NHWC, the permutation is no operation at all.
    """
    graph = module.graph
    for node in graph.find_nodes(op="call_function", target=aten.transpose.int):
        source, roundings = node.args[0], set()
        while source.target in _QUANTIZATION:
            roundings.add(source.args[1:])
            source = source.args[0]
        if node.args[1:] != (1, 2) or source.target != aten.flatten.using_ints or source.args[1:] != (2,):
            continue
        if roundings - {source.args[0].args[1:]}:  # another scale: it would round once more
            continue
        with graph.inserting_before(node):
            last = graph.call_function(aten.permute.default, (source.args[0], [0, 2, 3, 1]))
            node.replace_all_uses_with(graph.call_function(aten.flatten.using_ints, (last, 1, 2)))
