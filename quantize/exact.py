"""Int8 arithmetic that float32 does without rounding: what fake quantization answers, every backend's kernels answer, too.

Backends differ in the last bit of a sum or of a multiplier. That is enough to round one activation of a million to the
neighbouring step, the next layers make ten of it, and a few layers on two backends are as far apart as int8 is from float.
In the backbone there is no last bit. Steps of activations are powers of two, steps of weights have three significant bits,
biases are multiples of what int32 accumulators count in, and a sum has the step of what it adds: each product, sum and
multiplier fits into float32's 24 bits, and what is rounded to int8 is the same number everywhere, ties included.

Steps that coarse would cost accuracy: `quantize.equalise` moves ranges to where the steps are. From the patch embedding's
answer on, steps are as fine as they can be: softmax, GELU and LayerNorm follow, which every backend computes in float in its
own way, and nothing can be exact.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule
from torchao.quantization.pt2e import (
    FakeQuantizeBase,
    HistogramObserver,
    MinMaxObserver,
    MovingAverageMinMaxObserver,
    MovingAveragePerChannelMinMaxObserver,
)

aten = torch.ops.aten

COMPUTE = (aten.conv2d.default, aten.linear.default)  # layers with weights
STEP_BITS = 3  # significant bits of a step that is only multiplied by: sums of a thousand products are still exact
_SHORT = 2**-8  # share of a range that may be cut off: a range that was scaled to a step must not miss it by its last bit


def round_up(step: Tensor, bits: int) -> Tensor:
    """The least number of `bits` (1..7) significant bits, not below `step` (positive, any shape) by more than 0.4 %."""
    mantissa, exponent = torch.frexp(step * (1 - _SHORT))
    return torch.ldexp(torch.ceil(torch.ldexp(mantissa, torch.tensor(bits))), exponent - bits)


class _Exact:
    """Mixed into an observer: its steps have `bits` significant bits, and the range is in the middle of what they span."""

    bits = 1
    quant_min: int
    quant_max: int

    def calculate_qparams(self) -> tuple[Tensor, Tensor]:
        step, zero_point = super().calculate_qparams()  # type: ignore[misc]  # of the observer that this is mixed into
        exact = round_up(step, self.bits)
        middle = (self.quant_min + self.quant_max) / 2
        moved = (middle - (middle - zero_point) * step / exact).round().clamp(self.quant_min, self.quant_max)
        return exact, torch.where(zero_point == self.quant_min, zero_point, moved.to(zero_point.dtype))


class PercentileObserver(MovingAverageMinMaxObserver):
    """Moving average of the (100 - p)-th and p-th percentile of each batch: a range that outliers do not stretch.

    The average forgets: after 32 batches (128 crops) the first one has 4 % of it.
    """

    def __init__(self, percentile: float, **settings: Any) -> None:
        super().__init__(averaging_constant=0.1, **settings)
        self.percentile = percentile

    def forward(self, x_orig: Tensor) -> Tensor:
        values = x_orig.detach().float().flatten()
        beyond = max(1, round(values.numel() * (1 - self.percentile / 100)))
        ends = torch.stack([-(-values).topk(beyond).values[-1], values.topk(beyond).values[-1]])
        super().forward(ends)
        return x_orig


class WeightObserver(MovingAveragePerChannelMinMaxObserver):
    """Range of each channel of the weight as it is now: an averaging constant of 1 forgets what it was a step ago."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(averaging_constant=1.0, **settings)


class ExactMinMax(_Exact, MinMaxObserver):
    """Exact steps over all that was seen."""


class ExactHistogram(_Exact, HistogramObserver):
    """Exact steps of nearly the least squared error."""


class ExactPercentile(_Exact, PercentileObserver):
    """Exact steps over all but the outliers."""


class ExactWeight(_Exact, WeightObserver):
    """Exact steps over each channel."""

    bits = STEP_BITS


class _RoundStraightThrough(torch.autograd.Function):
    """Rounds to multiples of a step; the gradient passes unchanged."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, step: Tensor) -> Tensor:
        return ((value.double() / step).round() * step).to(value.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


class BiasRounding(nn.Module):
    """Rounds the bias `[C]` of an int8 layer to what its int32 accumulators count in: input step times weight step.

    Part of the fake-quantized forward, straight-through, so that the biases that ship are those that were trained.

    Args:
        input_quantizer, weight_quantizer: of the layer; their steps are read at every call and are not part of the state.
    """

    enabled: Tensor

    def __init__(self, input_quantizer: FakeQuantizeBase, weight_quantizer: FakeQuantizeBase) -> None:
        super().__init__()
        self.register_buffer("enabled", torch.ones(1, dtype=torch.uint8))
        self._quantizers = input_quantizer, weight_quantizer  # in a tuple, so that they are not registered twice

    def forward(self, bias: Tensor) -> Tensor:
        if not self.enabled[0]:
            return bias
        input_step, weight_step = (quantizer.scale.detach().double() for quantizer in self._quantizers)
        return _RoundStraightThrough.apply(bias, weight_step * input_step)


def add_bias_rounding(graph: GraphModule) -> None:
    """Put a `BiasRounding` before the bias of every int8 layer of a prepared graph, in place."""
    modules = dict(graph.named_modules(remove_duplicate=False))
    for index, layer in enumerate([node for node in graph.graph.nodes if node.target in COMPUTE]):
        quantizers = [modules.get(str(value.target)) for value in layer.args[:2]]
        if len(layer.args) < 3 or layer.args[2] is None or not all(isinstance(q, FakeQuantizeBase) for q in quantizers):
            continue
        name = f"bias_rounding_{index}"
        graph.add_submodule(name, BiasRounding(*quantizers))
        with graph.graph.inserting_before(layer):
            layer.update_arg(2, graph.graph.call_module(name, (layer.args[2],)))
    graph.recompile()


@torch.no_grad()
def bake_biases(graph: GraphModule) -> None:
    """Replace every `BiasRounding` of a prepared graph by its rounded bias, in place; a layer called twice gets two."""
    modules = dict(graph.named_modules())
    for node in list(graph.graph.nodes):
        rounding = modules.get(str(node.target)) if node.op == "call_module" else None
        if isinstance(rounding, BiasRounding):
            bias = graph.get_parameter(str(node.args[0].target))
            name = f"{node.name}_bias"
            graph.register_parameter(name, nn.Parameter(rounding(bias).clone()))
            with graph.graph.inserting_before(node):
                node.replace_all_uses_with(graph.graph.get_attr(name))
            graph.graph.erase_node(node)
            graph.delete_submodule(node.target)
    graph.graph.eliminate_dead_code()
    graph.recompile()


def remove_saturated_clamps(program: GraphModule) -> None:
    """Replace clamps whose upper limit int8 keeps by itself with ReLU, in a converted graph, in place."""
    for node in program.graph.find_nodes(op="call_function", target=aten.hardtanh.default):
        if _saturates(node):
            with program.graph.inserting_before(node):
                relu = program.graph.call_function(aten.relu.default, (node.args[0],))
            relu.meta = node.meta
            node.replace_all_uses_with(relu)
            program.graph.erase_node(node)
    program.recompile()


def _saturates(clamp: Any) -> bool:
    """Whether the int8 after a clamp (0, limit) holds nothing above the limit."""
    (reader, *others) = clamp.users
    if others or "quantize_per_tensor" not in str(reader.target):
        return False
    scale, zero_point, _, high = reader.args[1:5]
    return clamp.args[1] == 0 and (high - zero_point) * scale <= clamp.args[2] * (1 + 1e-6)
