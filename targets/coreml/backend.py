"""Core ML: an `.mlpackage` for iOS 17, macOS 14 and later whose input is an image.

The input is an image, so that an app passes a `CVPixelBuffer`, or lets Vision do it; its type says whether Core ML puts the
channels in the order RGB or BGR. Normalisation is the first two
operators of the program, in float32: `ImageType` has one scale for three channels, and most students have a `std` for each.

On macOS `open` uses Core ML itself. Elsewhere the saved program is evaluated by `targets.coreml.reference`.

int8 (W8A8): weights are `constexpr_affine_dequantize`, activations run between `quantize` and `dequantize`. Core ML decides
on the device how to run that: with int8 kernels where a unit has them, or in float with values that were rounded to int8.
Everything else is float32, for CPU and GPU: `quantize` then rounds the same values that fake quantization rounded. The
Neural Engine computes in float16 only (`lower(..., compute="float16")`): the result of a convolution is rounded to float16
before `quantize` rounds it again, which near a tie gives another step, and one step can move a keypoint by pixels.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import coremltools as ct
import numpy as np
import torch
from coremltools.converters.mil.mil import Builder
from coremltools.converters.mil.mil.passes.graph_pass import AbstractGraphPass
from coremltools.converters.mil.mil.passes.pass_registry import register_pass
from torch import Tensor

from pose import card as cards
from pose.card import Card, Coverage
from pose.crop import CropSpec
from pose.errors import BackendError, one_line
from pose.files import atomic_file, atomic_folder
from pose.program import Program
from targets.base import Artefact, LintFinding, Runner
from targets.common import OneByOneRunner, accepted, artefact_card, verified_card, with_answer
from targets.coreml import SPEC
from targets.coreml.reference import MilProgram, require_inside
from targets.graph import quantization_findings
from targets.patches import deduplicate_small_constants, validate_mil_once
from targets.torch.backend import on_threads

if TYPE_CHECKING:
    from torch.export import ExportedProgram

_WEIGHTED = ("conv", "linear")
_MAX_DIMENSIONS = 5
_SMALLEST_SCALE = float(np.finfo(np.float16).tiny)


@register_pass(namespace="distilpose_edge")
class normalise_pixels(AbstractGraphPass):  # noqa: N801 - coremltools names passes by their class
    """Inserts (pixel - mean) / std, in float32, at the start of a program whose input becomes an image."""

    spec: CropSpec | None = None  # the option of the pass

    def apply(self, prog: Any) -> None:
        assert self.spec is not None
        ordered = (self.spec.in_channel_order(values) for values in (self.spec.mean, self.spec.std))
        mean, std = (values.astype(np.float32).reshape(1, 3, 1, 1) for values in ordered)
        function = prog.functions["main"]
        (images,) = function.inputs.values()
        with function, Builder.set_before_op(function.operations[0]):
            centred = Builder.sub(x=images, y=mean)
            normalised = Builder.mul(x=centred, y=1 / std)
        function.replace_uses_of_var_after_op(anchor_op=normalised.op, old_var=images, new_var=normalised)


class ReferenceRunner(OneByOneRunner):
    """A package, evaluated by torch."""

    def __init__(self, program: MilProgram, card: Card, threads: int) -> None:
        super().__init__(card)
        self._program = program
        self._threads = threads

    def predict(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with on_threads(self._threads):
            return super().predict(crops)

    def predict_one(self, crop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        ordered = self.card.spec.in_channel_order(crop).astype(np.float32)
        pixels = torch.from_numpy(ordered).permute(2, 0, 1)[None]
        answer = self._program(**{self.card.input.name: pixels})
        return answer["coords"].numpy(), answer["scores"].numpy()


class CoreMLRunner(OneByOneRunner):
    """A package in Core ML itself, on whichever units it chooses: macOS only."""

    def __init__(self, model: Any, card: Card) -> None:
        super().__init__(card)
        self._model = model

    def predict_one(self, crop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        from PIL import Image

        try:
            answer = self._model.predict({self.card.input.name: Image.fromarray(crop)})
        except RuntimeError as error:
            raise BackendError(f"Core ML failed on {self.card.student}: {one_line(error)}") from error
        return np.asarray(answer["coords"], np.float32), np.asarray(answer["scores"], np.float32)


def lower(program: Program, out: Path, precision: cards.Precision = "int8", *, compute: str = "float32") -> Artefact:
    """Lower one graph to `<student>-coreml-<precision>.mlpackage`, run its golden crop, and write its card.

    Args:
        compute: type in which an int8 program computes between its int8 tensors; float16 is part of the file's name. An
            fp32 or fp16 program computes in its own.

    Raises:
        InputError: no such type.
        BackendError: coremltools failed, or Core ML refuses what it made.
    """
    SPEC.check_option("compute", compute)
    graph = program.graph(precision)
    findings = accepted(lint(graph, compute), program, "coreml")
    path = Path(out) / SPEC.file_name(program.card.student, precision, {"compute": compute})
    model = _convert(graph, program.card, precision, compute)
    with atomic_file(cards.card_path(path)) as card_file, atomic_folder(path) as folder:
        _save(model, folder)
        saved = MilProgram(folder)
        card = artefact_card(program, "coreml", precision, coverage(saved.function), findings)
        input_spec = card.input.model_copy(update={"layout": "NHWC", "dtype": "uint8"})
        card = card.model_copy(update={"files": {path.name: cards.digest(folder)}, "input": input_spec})
        if precision == "int8":
            card = card.model_copy(update={"metrics": {**card.metrics, "compute": compute}})
        card = with_answer(card, _runner(folder, card, 1, saved))
        card_file.write_text(card.as_yaml(), encoding="utf-8")
    return Artefact(path, card)


def open(path: Path, threads: int = 1) -> Runner:  # noqa: A001, named by the Target protocol
    """Open a package beside its card: in Core ML on macOS, which chooses its own number of threads, in torch elsewhere."""
    path = Path(path)
    card = verified_card(path, "coreml")
    require_inside(path)
    return _runner(path, card, threads)


def lint(program: ExportedProgram, compute: str = "float32") -> list[LintFinding]:
    """What Core ML cannot express, quantization that float16 cannot express, and quantization that costs accuracy."""
    findings = []
    for node in program.graph.nodes:
        value, name = node.meta.get("val"), str(node.target)
        if isinstance(value, Tensor) and value.ndim > _MAX_DIMENSIONS:
            findings.append(
                LintFinding("error", node.name, f"has {value.ndim} dimensions; Core ML allows {_MAX_DIMENSIONS}")
            )
        if "quantize_per_tensor" in name:
            scale, _, lowest, highest = node.args[1:5]
            if compute == "float16" and scale < _SMALLEST_SCALE:
                findings.append(LintFinding("error", node.name, f"scale {scale:.2g} vanishes in float16"))
            if (lowest, highest) not in ((-128, 127), (0, 255)):
                message = f"clamps to {lowest}..{highest}; Core ML clamps to the whole type"
                findings.append(LintFinding("warning", node.name, message))
    return findings + quantization_findings(program)


def coverage(function: Any) -> Coverage:
    """Operators of a MIL program; those with arithmetic count as int8 when all their inputs are dequantized, else as float.

    Core ML decides on the device which unit runs them: all count as delegated.
    """
    operators: Counter[str] = Counter()
    macs: Counter[tuple[str, bool]] = Counter()
    for op in function.operations:
        if op.op_type.startswith("const"):
            continue
        if op.op_type not in (*_WEIGHTED, "matmul"):
            operators[op.op_type] += 1
            continue
        left, right = (op.x, op.y) if op.op_type == "matmul" else (op.x, op.weight)
        is_int8 = _is_dequantized(left) and _is_dequantized(right)
        per_output = (
            int(np.prod(right.shape[1:])) if op.op_type in _WEIGHTED else left.shape[-2 if op.transpose_x.val else -1]
        )
        macs[op.op_type, is_int8] += int(np.prod(op.outputs[0].shape)) * per_output
        operators[f"{op.op_type} {'int8' if is_int8 else 'float'}"] += 1
    arithmetic = {name: count for name, count in operators.items() if " " in name}
    weighted = sum(macs[name, is_int8] for name in _WEIGHTED for is_int8 in (True, False))
    return Coverage(
        delegates=1,
        delegated=dict(operators.most_common()),
        undelegated={},
        undelegated_nodes=[],
        int8_ops=sum(count for name, count in arithmetic.items() if name.endswith("int8"))
        / max(sum(arithmetic.values()), 1),
        int8_macs=sum(macs[name, True] for name in _WEIGHTED) / max(weighted, 1),
        float_matmul_macs=macs["matmul", False] / max(sum(macs.values()), 1),
    )


def _convert(graph: ExportedProgram, card: Card, precision: cards.Precision, compute: str) -> Any:
    in_float32 = precision == "fp32" or (precision == "int8" and compute == "float32")
    passes = ct.PassPipeline.DEFAULT
    passes.append_pass("distilpose_edge::normalise_pixels")  # last: after the pass that casts to float16
    passes.set_options("distilpose_edge::normalise_pixels", {"spec": card.spec})
    colour = getattr(ct.colorlayout, card.input.colour)
    try:
        with validate_mil_once(), deduplicate_small_constants():
            model = ct.convert(
                graph.run_decompositions({}),
                inputs=[ct.ImageType(name=card.input.name, shape=card.input.shape, color_layout=colour)],
                outputs=[ct.TensorType(name=output.name, dtype=np.float32) for output in card.outputs],
                minimum_deployment_target=ct.target.iOS17,
                compute_precision=ct.precision.FLOAT32 if in_float32 else ct.precision.FLOAT16,
                pass_pipeline=passes,
                skip_model_load=True,
            )
    except Exception as error:  # coremltools raises its own types, assertions, and whatever stops a pass
        raise BackendError(f"coremltools cannot lower the program: {one_line(error, 200)}") from error
    width, height = card.spec.width, card.spec.height
    model.short_description = f"{card.student}: {card.skeleton.name} keypoints of the person in a crop, {precision}"
    model.input_description[card.input.name] = f"crop of one person, {width} x {height} pixels"
    model.output_description["coords"] = "x, y of each keypoint, 0 to 1 across the crop"
    model.output_description["scores"] = "how sure each keypoint is"
    return model


def _save(model: Any, folder: Path) -> None:
    try:
        model.save(str(folder))
    except RuntimeError as error:  # its C++ parts raise no OSError
        raise BackendError(f"coremltools cannot write {folder}: {one_line(error, 200)}") from error
    mapping = folder / "executorch_debug_handle_mapping.json"  # as large as the program, and nothing reads it
    mapping.unlink(missing_ok=True)


def _runner(path: Path, card: Card, threads: int, program: MilProgram | None = None) -> Runner:
    if sys.platform != "darwin":
        program = program or MilProgram(path)
        program.require_interface(path, card)
        return ReferenceRunner(program, card, threads)
    try:
        return CoreMLRunner(ct.models.MLModel(str(path)), card)
    except Exception as error:  # Core ML's compiler raises RuntimeError and plain Exception
        raise BackendError(f"Core ML refuses {path}: {one_line(error, 200)}") from error


def _is_dequantized(var: Any) -> bool:
    return var.op is not None and var.op.op_type in ("dequantize", "constexpr_affine_dequantize")
