"""Rewrites for XNNPACK: padding stays int8 and changes no bit; LayerNorm is delegated and differs by float32 rounding."""

from __future__ import annotations

import pytest
import torch
from quantized_student import quantized_student
from tiny_student import tiny_images
from torch import Tensor, nn

from pose.crop import CropSpec
from pose.models.gated import GatedRead
from pose.models.output import PoseOutput
from pose.program import Program
from quantize.program import float_program
from targets.executorch import backend
from targets.executorch.graph import for_xnnpack
from targets.graph import arithmetic, is_quantize

aten = torch.ops.aten


class Normed(nn.Module):
    """Two LayerNorms, one of them without weights, around a linear."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.linear = nn.LayerNorm(24), nn.Linear(24, 24)
        self.second = nn.LayerNorm(24, elementwise_affine=False)
        nn.init.normal_(self.first.weight)
        nn.init.normal_(self.first.bias)

    def forward(self, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        tokens = self.linear(self.first(tokens))
        return self.second(tokens), tokens


@pytest.fixture
def normed() -> tuple[torch.export.ExportedProgram, torch.Tensor]:
    torch.manual_seed(0)
    tokens = 5 * torch.randn(1, 7, 24) + 3
    return torch.export.export(Normed(), (tokens,)), tokens


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> Program:
    return quantized_student(tmp_path_factory.mktemp("program"))


def _paddings(program: torch.export.ExportedProgram) -> list[bool]:
    """Of each padding, in order: whether it is quantized afterwards."""
    nodes = program.graph.find_nodes(op="call_function", target=aten.pad.default)
    return [any(map(is_quantize, node.users)) for node in nodes]


def test_padding_before_a_convolution_is_not_quantized_again_and_no_bit_changes(program: Program) -> None:
    graph, images = program.graph("int8"), tiny_images(1)
    assert _paddings(graph) == [True, True, True]  # of two convolutions, and of the tokens
    with torch.no_grad():
        before = graph.module()(images)
        for_xnnpack(graph)
        after = graph.module()(images)
    assert _paddings(graph) == [False, False, True]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_padding_of_another_scale_stays_as_it_is(program: Program) -> None:
    graph = program.graph("int8")
    (first, *_) = graph.graph.find_nodes(op="call_function", target=aten.pad.default)
    quantized = next(iter(first.users))
    quantized.update_arg(1, 2 * quantized.args[1])
    for_xnnpack(graph)
    assert _paddings(graph) == [True, False, True]


def test_layer_norm_is_one_delegate_with_the_rest_and_rounds_in_float32(normed) -> None:
    program, tokens = normed
    with torch.no_grad():
        expected = program.module()(tokens)
        share = arithmetic(program, int8_products=False)
        for_xnnpack(program)
        edge, buffer = backend.lower_graph(program, "xnnpack")
        answers = backend.runtime._load_for_executorch_from_buffer(buffer).forward([tokens])
    coverage = backend._coverage(edge, share)
    assert (coverage.delegates, coverage.undelegated) == (1, {})
    for answer, value in zip(answers, expected, strict=True):
        assert torch.allclose(answer, value, rtol=1e-5, atol=1e-5)


class _Read(nn.Module):
    """The gated read of three keypoints, as an exported graph has it: two tensors leave."""

    def __init__(self) -> None:
        super().__init__()
        self.read = GatedRead(3, 8, 8)

    def forward(self, heatmaps: Tensor, displacements: Tensor, centre: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        output = self.read(heatmaps, displacements, centre, features)
        assert output.coords is not None
        assert output.scores is not None
        return output.coords, output.scores


def test_the_gated_read_is_one_delegate() -> None:
    shapes = ((1, 3, 8, 8), (1, 6, 2, 2), (1, 1, 2, 2), (1, 8, 8, 8))
    program = torch.export.export(_Read().eval(), tuple(torch.randn(shape) for shape in shapes), strict=True)
    share = arithmetic(program, int8_products=False)
    coverage = backend._coverage(backend.lower_graph(program, "xnnpack")[0], share)
    assert (coverage.delegates, coverage.undelegated) == (1, {})


class _Placed(nn.Module):
    """A student whose position embedding is the transpose of another: its axis of size 1 has the longest stride."""

    def __init__(self) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.rand(1, 12, 2).transpose(0, 1))  # strides (2, 24, 1)

    def forward(self, images: Tensor) -> PoseOutput:
        coords = images.flatten(1)[:, :24].unflatten(1, (12, 2)) + self.position.transpose(0, 1)
        return PoseOutput(coords=coords, scores=coords[..., 0])


def test_a_parameter_that_is_stored_transposed_keeps_its_shape() -> None:
    images = torch.randn(1, 3, 4, 4)
    program = float_program(_Placed(), CropSpec(width=4, height=4))
    with torch.no_grad():
        expected = program.module()(images)
    buffer = backend.lower_graph(program, "xnnpack")[1]
    answers = backend.runtime._load_for_executorch_from_buffer(buffer).forward([images])
    assert all(torch.equal(answer, value) for answer, value in zip(answers, expected, strict=True))
