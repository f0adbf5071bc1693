"""The QDQ file has what TensorRT needs, and a program that TensorRT would refuse is refused here, with the reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from quantized_student import assert_answers_as, quantized_student
from tiny_regression import FAMILIES
from tiny_student import SPEC
from torch import nn

from pose.errors import InputError
from pose.program import Program
from quantize.program import float_program
from targets import base
from targets.tensorrt import backend as tensorrt

ops = torch.ops.quantized_decomposed


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> Program:
    return quantized_student(tmp_path_factory.mktemp("program"), "symmetric")


@pytest.fixture(scope="module")
def artefacts(program: Program, tmp_path_factory) -> dict[str, base.Artefact]:
    out = tmp_path_factory.mktemp("dist")
    return {precision: tensorrt.lower(program, out, precision) for precision in ("fp32", "fp16", "int8")}


@pytest.mark.parametrize(("precision", "median", "p99"), [("fp32", 0.01, 0.05), ("fp16", 0.1, 0.3), ("int8", 0.5, 2.0)])
def test_an_artefact_answers_as_its_program(artefacts, program: Program, precision, median, p99) -> None:
    assert artefacts[precision].path.name == f"distilpose_edge-tensorrt-{precision}.onnx"
    assert artefacts[precision].card.target == "tensorrt"
    assert_answers_as(program, artefacts[precision], median, p99)


def test_weights_and_activations_are_quantized_as_tensorrt_fuses_them(artefacts) -> None:
    graph = onnx.load(artefacts["int8"].path).graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    made_by = {node.output[0]: node for node in graph.node}
    for node in graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            assert constants[node.input[2]].dtype == np.int8
            assert not constants[node.input[2]].any()
    quantized = 0
    for node in graph.node:
        if node.op_type not in ("Conv", "Gemm") or node.input[1] in constants:  # the head's weights are float
            continue
        weight = made_by[node.input[1]]
        assert weight.op_type == "DequantizeLinear"
        axis = next(attribute.i for attribute in weight.attribute if attribute.name == "axis")
        assert axis == 0  # output channels: of a convolution, and of a Gemm that transposes its weight
        assert constants[weight.input[1]].shape == constants[weight.input[0]].shape[:1]
        assert constants[weight.input[0]].min() >= -127
        source = made_by[node.input[0]]
        while source.op_type == "Reshape":
            source = made_by[source.input[0]]
        assert source.op_type == "DequantizeLinear"
        quantized += 1
    assert quantized == 16
    assert {entry.domain for entry in onnx.load(artefacts["int8"].path).opset_import} <= {""}


def test_coverage_counts_the_file(artefacts) -> None:
    coverage = artefacts["int8"].card.coverage
    assert (coverage.delegates, coverage.delegated["Conv"], coverage.undelegated) == (1, 4, {})
    assert coverage.int8_macs > 0.99
    assert artefacts["fp32"].card.coverage.int8_macs == 0


def test_an_affine_program_is_refused_for_int8_only(tmp_path: Path) -> None:
    affine = quantized_student(tmp_path / "program", "affine")
    with pytest.raises(InputError, match=r"quantize\.qat --scheme symmetric") as error:
        tensorrt.lower(affine, tmp_path / "dist")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "dist").exists()
    assert tensorrt.lower(affine, tmp_path / "dist", "fp32").path.is_file()
    messages = {finding.message for finding in tensorrt.lint(affine.graph("int8")) if finding.severity == "error"}
    assert messages == {"has a zero point other than 0; quantize with quantize.qat --scheme symmetric"}


def test_the_only_warnings_about_a_symmetric_program_are_its_float_residuals(program: Program) -> None:
    findings = tensorrt.lint(program.graph("int8"))
    assert {(finding.severity, finding.node.rpartition("_")[0] or finding.node) for finding in findings} == {
        ("warning", "add")
    }
    assert tensorrt.lint(program.graph("fp32")) == []


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_the_operators_of_every_regression_family_are_known(family: str) -> None:
    assert tensorrt.lint(float_program(FAMILIES[family]().eval().deploy(), SPEC)) == []


class _Bad(nn.Module):
    """A linear whose weight is per input channel, shifted and reaches -128; another with a float weight; erfinv."""

    def __init__(self) -> None:
        super().__init__()
        self.plain = nn.Linear(8, 8)
        self.register_buffer("int8", torch.full((8, 8), -128, dtype=torch.int8))
        self.register_buffer("scale", torch.ones(8))
        self.register_buffer("zero_point", torch.ones(8, dtype=torch.int64))

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = ops.dequantize_per_tensor(
            ops.quantize_per_tensor(images, 0.1, 128, 0, 255, torch.uint8), 0.1, 128, 0, 255, torch.uint8
        )
        weight = ops.dequantize_per_channel(self.int8, self.scale, self.zero_point, 1, -128, 127, torch.int8)
        return nn.functional.linear(x, weight).erfinv(), self.plain(x)


def test_the_lint_names_everything_that_tensorrt_refuses() -> None:
    findings = tensorrt.lint(torch.export.export(_Bad(), (torch.zeros(1, 8),)))
    for severity, word in (
        ("error", "axis 1"),
        ("error", "outside -127..127"),
        ("error", "zero point other than 0"),
        ("error", "torch.uint8"),
        ("error", "aten.erfinv"),
        ("warning", "one int8 input"),
    ):
        assert [finding for finding in findings if finding.severity == severity and word in finding.message], word
