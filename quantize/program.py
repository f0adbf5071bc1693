"""Deploy form -> fake-quantized student that trains -> int8 program that ships (PT2E: torch.export, torchao).

The batch is dynamic while training and 1 in what ships. The deploy form has neither batch norm nor dropout, so the exported
graph is the same in training and evaluation and none of PT2E's mode switching is needed (`prepare` makes sure of it).
"""

from __future__ import annotations

import copy
from importlib.metadata import version
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram, register_dataclass
from torchao.quantization.pt2e import FakeQuantizeBase
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_qat_pt2e

from calib_data import synthetic
from distill.optimisers import declared_groups
from pose.card import Card, Golden, Input, Output, Prediction, pack
from pose.crop import CropSpec, affine, normalise, warp
from pose.decode import assign_queries
from pose.models.output import PoseOutput
from pose.skeleton import Skeleton
from quantize.exact import BiasRounding, add_bias_rounding, bake_biases, remove_saturated_clamps
from quantize.precision import Precision, StudentQuantizer, image_quantization

register_dataclass(PoseOutput)

_Module = TypeVar("_Module", bound=nn.Module)

_GOLDEN = 20  # of the drawn people for validation: alone, whole and in good light
_GOLDEN_BITS = 0xF0  # sixteen levels a colour, in which the crop takes a third of the card's room
_MODES = ("batch_norm", "dropout")  # operators that differ between training and evaluation


class QatStudent(nn.Module):
    """A deploy form with fake quantizers in it: trains like any module, at any batch; its forward returns `PoseOutput`.

    Weight ranges always follow the weights. `observe` and `fake_quant` switch the rest; both are part of the state dict.

    Args:
        groups: parameter name -> its group, see `pose.models.protocols.Student.parameter_groups`.
    """

    def __init__(
        self, graph: torch.fx.GraphModule, precision: Precision, crop: CropSpec, groups: dict[str, str] | None = None
    ) -> None:
        super().__init__()
        self.graph = graph
        self.precision = precision
        self.crop = crop
        self._groups = groups or {}

    def forward(self, images: Tensor) -> PoseOutput:
        return self.graph(images)

    def train(self, mode: bool = True) -> QatStudent:
        """An exported graph raises on a change of mode, and this one computes the same in both."""
        self.training = mode
        return self

    def observe(self, enabled: bool) -> None:
        """Whether activation ranges are estimated from the activations that pass."""
        for quantizer in self._quantizers():
            quantizer.enable_observer(enabled or quantizer.is_per_channel)

    def fake_quant(self, enabled: bool) -> None:
        """Whether activations, weights and biases are rounded; without, it is the deploy form, with corrected biases."""
        for quantizer in self._quantizers():
            quantizer.enable_fake_quant(enabled)
        for module in self.graph.modules():
            if isinstance(module, BiasRounding):
                module.enabled[0] = enabled

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """Those of the deploy form."""
        groups: dict[str, list[nn.Parameter]] = {}
        for name, parameter in self.graph.named_parameters():
            groups.setdefault(self._groups.get(name, "rest"), []).append(parameter)
        return groups

    def _quantizers(self) -> list[FakeQuantizeBase]:
        return [module for module in self.graph.modules() if isinstance(module, FakeQuantizeBase)]


class _Shipped(nn.Module):
    """What leaves training: coordinates and scores, two tensors."""

    def __init__(self, student: nn.Module) -> None:
        super().__init__()
        self.student = student

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        output = self.student(images)
        return output.coords, output.scores


def trace(model: nn.Module, crop: CropSpec) -> torch.fx.GraphModule:
    """The graph of a copy of the deploy form, for any batch; its parameters have the names that they have in the model."""
    example = torch.zeros(2, 3, crop.height, crop.width, device=next(model.parameters()).device)
    batch = {"images": {0: Dim("batch", min=1, max=4096)}}
    return torch.export.export(copy.deepcopy(model), (example,), dynamic_shapes=batch).module()


def prepare(model: nn.Module, precision: Precision, crop: CropSpec) -> QatStudent:
    """A fake-quantized copy of the deploy form; `quantize.calibrate` then estimates its activation ranges."""
    graph = trace(model, crop)
    _check_modeless(graph)
    unknown = [name for name in precision.float_modules if name not in dict(model.named_modules())]
    if unknown:
        raise ValueError(f"{', '.join(unknown)}: no such module in the deploy form")
    prepared = prepare_qat_pt2e(graph, StudentQuantizer(precision, crop))
    add_bias_rounding(prepared)
    student = QatStudent(prepared, precision, crop, _group_names(model))
    student.observe(True)
    return student


def _group_names(model: nn.Module) -> dict[str, str]:
    """Name of each parameter that the model puts into a group -> that group."""
    group_of = {id(parameter): group for group, some in declared_groups(model).items() for parameter in some}
    return {name: group_of[id(parameter)] for name, parameter in model.named_parameters() if id(parameter) in group_of}


def finish(student: QatStudent) -> ExportedProgram:
    """The int8 program at batch 1: images -> (coords, scores); weights are int8, quantize and dequantize nodes in place."""
    student = _row_major(copy.deepcopy(student).cpu())
    student.observe(False)
    with torch.no_grad():  # weight ranges are those of the last forward pass, before the optimiser's last step
        student(torch.zeros(1, 3, student.crop.height, student.crop.width))
    bake_biases(student.graph)
    converted = convert_pt2e(student.graph)
    remove_saturated_clamps(converted)
    return _ship(converted, student.crop)


def float_program(model: nn.Module, crop: CropSpec) -> ExportedProgram:
    """The float program at batch 1: images -> (coords, scores)."""
    return _ship(_row_major(copy.deepcopy(model).cpu().eval()), crop)


def _row_major(model: _Module) -> _Module:
    """The model, whose parameters and buffers lie row by row now.

    Training keeps some channels last, which XNNPACK's passes trip over; and ExecuTorch takes a transposed tensor with an
    axis of size 1, which `contiguous` would leave alone, for one of another shape.
    """
    for tensor in (*model.parameters(), *model.buffers()):
        tensor.data = tensor.data.clone(memory_format=torch.contiguous_format)
    return model


def _ship(model: nn.Module, crop: CropSpec) -> ExportedProgram:
    """Export at batch 1 twice: once to cut the outputs, once more so that what only fed the others is gone from the file."""
    example = (torch.zeros(1, 3, crop.height, crop.width),)
    with torch.no_grad():
        cut = torch.export.export(_Shipped(model), example).module()
        cut.graph.eliminate_dead_code()
        read = {node.target for node in cut.graph.nodes if node.op == "get_attr"}
        for name in [name for name, _ in (*cut.named_parameters(), *cut.named_buffers()) if name not in read]:
            owner, _, leaf = name.rpartition(".")
            delattr(cut.get_submodule(owner), leaf)
        cut.recompile()
        return torch.export.export(cut, example)


def _check_modeless(graph: torch.fx.GraphModule) -> None:
    operators = {str(node.target) for node in graph.graph.nodes if any(mode in str(node.target) for mode in _MODES)}
    if operators:
        raise ValueError(f"the deploy form still holds {', '.join(sorted(operators))}, which quantization cannot train")


def describe(
    student: str,
    skeleton: Skeleton,
    fp32: ExportedProgram,
    int8: ExportedProgram,
    precision: Precision,
    crop: CropSpec,
    sources: dict[str, str],
    metrics: dict[str, Any] | None = None,
) -> Card:
    """The card of a program, with the outputs of both graphs for the golden crop.

    Args:
        sources: role (weights, calibration) -> sha256.
        metrics: measured columns.
    """
    golden = _golden_crop(crop)
    image = torch.from_numpy(normalise(golden, crop))[None]
    expected: dict[Any, Prediction] = {}
    with torch.no_grad():
        for name, program in (("fp32", fp32), ("int8", int8)):
            coords, scores = program.module()(image)
            joints, certainties = assign_queries(coords.numpy(), scores.numpy())
            expected[name] = Prediction(coords=joints[0].tolist(), scores=certainties[0].tolist())
    return Card(
        student=student,
        skeleton=skeleton,
        input=Input(
            shape=(1, 3, crop.height, crop.width),
            mean=crop.mean,
            std=crop.std,
            padding=crop.padding,
            colour=crop.colour,
            quantization=image_quantization(crop, precision.scheme),
        ),
        outputs=(Output(name="coords", shape=tuple(coords.shape)), Output(name="scores", shape=tuple(scores.shape))),
        scheme=precision.scheme,
        float_modules=list(precision.float_modules),
        files={},
        sources=sources,
        versions={name: version(name) for name in ("torch", "torchao")},
        metrics=metrics or {},
        golden=Golden(crop=pack(golden), expected=expected),
    )


def _golden_crop(crop: CropSpec) -> np.ndarray:
    """A drawn person, uint8 [H, W, 3]: for noise, a student's output would depend on rounding alone."""
    people = synthetic.validation(_GOLDEN + 1)
    return warp(people.image(_GOLDEN), affine(people.labels(_GOLDEN).box, crop), crop) & np.uint8(_GOLDEN_BITS)
