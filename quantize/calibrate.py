"""Post-training quantization: activation ranges and biases from crops. What QAT starts from, and a column of its own.

Rounding moves the mean of a layer's output: the rounding errors of nine depthwise weights behind a ReLU do not average
out, and neither do the errors that earlier layers pass on. Each layer's bias takes its mean error back, channel by channel,
in the order of the network, every earlier layer already corrected and rounded (empirical bias correction: Nagel et al.,
ICCV 2019).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.fx import Interpreter, Node
from torch.fx.node import map_aggregate
from torchao.quantization.pt2e import FakeQuantizeBase

from pose.errors import InputError
from quantize.exact import COMPUTE, BiasRounding
from quantize.program import QatStudent


@torch.no_grad()
def calibrate(student: QatStudent, batches: Iterable[Tensor]) -> QatStudent:
    """Find the activation ranges of `student`, in place, by its precision's estimator, and correct its biases.

    Ranges are those of the float network: nothing is rounded while they are observed. Afterwards they are frozen and fake
    quantization is on: PTQ's result. They stay as they are through QAT. Once for each student: a second call would correct
    the corrected biases. Layers without a bias stay as they are.

    Args:
        batches: network inputs float32 [N, 3, H, W], as `pose.crop.normalise` makes them.

    Raises:
        InputError: there are no crops.
    """
    device = next(student.parameters()).device
    student.observe(True)
    student.fake_quant(False)
    crops = []
    for batch in batches:
        student(batch.to(device))
        crops.append(batch)
    if not crops:
        raise InputError("there are no crops to calibrate on; give at least one")
    student.observe(False)
    student.fake_quant(True)
    _BiasCorrection(student.graph).run(torch.cat(crops).to(device))
    return student


@dataclass
class _Pair:
    """A value of the float network, and of the fake-quantized one."""

    exact: Any
    rounded: Any


class _BiasCorrection(Interpreter):
    """Runs the float and the fake-quantized network side by side over all crops at once, and corrects biases on the way."""

    def run_node(self, n: Node) -> Any:
        if n.op in ("placeholder", "get_attr"):
            value = super().run_node(n)
            return _Pair(value.clone() if n.op == "get_attr" else value, value)  # corrections do not reach the float network
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        if n.op == "output":
            return _side(args[0], lambda value: value.rounded)
        run = getattr(self, n.op)
        if n.op == "call_module" and isinstance(self.fetch_attr(str(n.target)), FakeQuantizeBase | BiasRounding):
            return _Pair(args[0].exact, run(n.target, (args[0].rounded,), {}))
        sides = (lambda value: value.exact), (lambda value: value.rounded)
        pair = _Pair(*(run(n.target, _side(args, side), _side(kwargs, side)) for side in sides))
        if n.target in COMPUTE:
            self._correct(n, pair)
        return pair

    def _correct(self, layer: Node, outputs: _Pair) -> None:
        """Take the mean error of `outputs` out of the layer's bias, and out of `outputs.rounded`.

        A layer that is called twice is corrected at its first call: that of the keypoint tokens, which ships.
        """
        rounding = layer.args[2] if len(layer.args) > 2 else None
        if not isinstance(rounding, Node) or rounding.op != "call_module":
            return
        (source,) = rounding.all_input_nodes
        if next(iter(source.users)) is not rounding:
            return
        bias, rounded = self.module.get_parameter(str(source.target)), self.module.get_submodule(str(rounding.target))
        before = rounded(bias).clone()
        axis = 1 if layer.target == torch.ops.aten.conv2d.default else outputs.exact.ndim - 1
        error = (outputs.rounded - outputs.exact).mean([other for other in range(outputs.exact.ndim) if other != axis])
        bias.sub_(error - (before - bias))  # the rounding of the bias itself is no error to correct: it is rounded anew
        moved = rounded(bias) - before
        outputs.rounded = outputs.rounded + moved.reshape(
            [-1 if other == axis else 1 for other in range(outputs.exact.ndim)]
        )


def _side(values: Any, side: Callable[[_Pair], Any]) -> Any:
    return map_aggregate(values, lambda value: side(value) if isinstance(value, _Pair) else value)
