"""Post-training quantization: activation ranges and biases from crops. What QAT starts from, and a column of its own.

Rounded weights move the mean of what a layer answers: nine weights of a depthwise convolution behind a ReLU do not average
out. Its bias takes that back, channel by channel (Nagel et al., ICCV 2019, section 4.2; here the means are those of crops).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.fx import Interpreter, Node

from pose.errors import InputError
from quantize.precision import COMPUTE
from quantize.program import QatStudent


@torch.no_grad()
def calibrate(student: QatStudent, batches: Iterable[Tensor]) -> QatStudent:
    """Find the activation ranges of `student`, in place, by its precision's estimator, and correct its biases.

    Ranges and means are those of the float network: nothing is rounded while they are observed. Afterwards the ranges are
    frozen and fake quantization is on: PTQ's result. They stay as they are through QAT. Once for each student: again would
    correct again. Layers without a bias stay as they are.

    Args:
        batches: network inputs float32 [N, 3, H, W], as `pose.crop.normalise` makes them.

    Raises:
        InputError: there are no crops.
    """
    device = next(student.parameters()).device
    student.observe(True)
    shifts = _Shifts(student)
    student.fake_quant(False)
    seen = 0
    for batch in batches:
        shifts.run(batch.to(device))
        seen += len(batch)
    if seen == 0:
        raise InputError("there are no crops to calibrate on; give at least one")
    shifts.correct()
    student.observe(False)
    student.fake_quant(True)
    return student


class _Shifts(Interpreter):
    """How far rounding its weights moves the mean of each channel of a layer's answer, over all that was run."""

    def __init__(self, student: QatStudent) -> None:
        super().__init__(student.graph)
        student.fake_quant(True)
        self._errors: dict[Node, Tensor] = {}
        self._biases: dict[Node, str] = {}
        for node in student.graph.graph.nodes:
            if node.target in COMPUTE and len(node.args) > 2 and node.args[2] and node.args[1].op == "call_module":
                rounded, weight = node.args[1], student.graph.get_parameter(node.args[1].args[0].target)
                self._errors[node] = student.graph.get_submodule(rounded.target)(weight) - weight
                self._biases[node] = node.args[2].target
        self._sums: dict[str, Tensor] = dict.fromkeys(self._biases.values(), torch.zeros(()))  # a layer may be called twice
        self._counts = dict.fromkeys(self._biases.values(), 0)

    def run_node(self, n: Node) -> Any:
        if n in self._errors:
            layer: Any = n.target
            (inputs, _, _, *how), settings = self.fetch_args_kwargs_from_env(n)
            moved = layer(inputs, self._errors[n], None, *how, **settings)
            channel = 1 if layer == torch.ops.aten.conv2d.default else moved.ndim - 1
            bias = self._biases[n]
            self._sums[bias] = self._sums[bias] + moved.sum([axis for axis in range(moved.ndim) if axis != channel])
            self._counts[bias] += moved.numel() // moved.shape[channel]
        return super().run_node(n)

    def correct(self) -> None:
        """Take the means out of the biases."""
        for bias, total in self._sums.items():
            self.module.get_parameter(bias).sub_(total / self._counts[bias])
