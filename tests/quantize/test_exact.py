"""Steps that float32 computes with exactly, and what is done to a graph for them."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_student import SPEC, tiny_images, tiny_student

from pose.models.deploy import deploy
from quantize.calibrate import calibrate
from quantize.equalise import equalise
from quantize.exact import ExactMinMax, round_up
from quantize.precision import Precision
from quantize.program import finish, prepare, trace

aten = torch.ops.aten


@given(st.floats(2**-20, 2**20, width=32), st.integers(1, 7))
def test_a_step_becomes_the_next_of_few_bits(step: float, bits: int) -> None:
    exact = round_up(torch.tensor(step), bits).item()
    mantissa, _ = math.frexp(exact)
    assert (mantissa * 2**bits).is_integer()
    assert step * (1 - 2**-7) <= exact <= step * (1 + 2.0 ** (1 - bits))
    assert round_up(torch.tensor(exact), bits).item() == exact


@given(st.floats(-50, 0), st.floats(0.1, 50), st.sampled_from([torch.per_tensor_affine, torch.per_tensor_symmetric]))
def test_a_range_still_fits_with_its_zero(low: float, high: float, qscheme: torch.qscheme) -> None:
    observer = ExactMinMax(dtype=torch.int8, quant_min=-128, quant_max=127, qscheme=qscheme)
    observer(torch.tensor([low, high]))
    step, zero_point = (each.item() for each in observer.calculate_qparams())
    assert math.log2(step).is_integer()
    assert zero_point == round(zero_point)
    assert qscheme == torch.per_tensor_affine or zero_point == 0
    assert low / step + zero_point >= -129.5  # half a percent may be cut off
    assert high / step + zero_point <= 128.5


def step_of(layer: torch.fx.Node) -> float | None:
    """Of what a layer, or the clamp that alone reads it, is rounded to."""
    while "quantize_per_tensor" not in str(layer.target):
        if len(layer.users) != 1 or layer.op == "output":
            return None
        (layer,) = layer.users
    return layer.args[1]  # type: ignore[return-value]


@torch.no_grad()
@pytest.mark.parametrize("scheme", ["affine", "symmetric"])
def test_the_backbone_of_a_program_computes_without_rounding(scheme) -> None:
    """Every product and sum of the backbone, and what a convolution is divided by, are the same in float64."""
    torch.manual_seed(0)
    form = deploy(tiny_student())
    equalise(form, trace(form, SPEC), [tiny_images(8)], scheme)
    graph = finish(calibrate(prepare(form, Precision(scheme), SPEC), [tiny_images(8)])).module()
    values, seen = {**dict(graph.named_parameters()), **dict(graph.named_buffers())}, 0

    class Twice(torch.fx.Interpreter):
        def run_node(self, n: torch.fx.Node) -> object:
            nonlocal seen
            answer = super().run_node(n)
            if n.target in (aten.conv2d.default, aten.add.Tensor, aten.upsample_bilinear2d.vec) and answer.ndim == 4:
                args, kwargs = self.fetch_args_kwargs_from_env(n)
                precise = n.target(*(each.double() if isinstance(each, torch.Tensor) else each for each in args), **kwargs)
                assert torch.equal(answer.double(), precise), n.name
                seen += 1
            return answer

    Twice(graph).run(tiny_images(1))
    assert seen >= 6
    *convolutions, patches = graph.graph.find_nodes(op="call_function", target=aten.conv2d.default)
    layers = [*convolutions, patches, *graph.graph.find_nodes(op="call_function", target=aten.linear.default)]
    powers = {layer: math.log2(step).is_integer() for layer in layers if (step := step_of(layer))}
    assert {powers[layer] for layer in convolutions} == {True}
    assert not any(power for layer, power in powers.items() if layer not in convolutions)  # as fine as they can be
    for node in graph.graph.nodes:
        if node.target == aten.add.Tensor and node.meta["val"].ndim == 4 and all("dequantize" in str(a) for a in node.args):
            assert len({each.args[1] for each in (*node.args, *node.users)}) == 1  # one step for all
        assert node.target != aten.hardtanh.default  # int8 ends where ReLU6 does
    assert all(value.isfinite().all() for value in values.values())
