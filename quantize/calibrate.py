"""Post-training quantization: activation ranges from crops. What QAT starts from, and a column of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from pose.errors import InputError
from quantize.program import QatStudent


@torch.no_grad()
def calibrate(student: QatStudent, batches: Iterable[Tensor], progress: Callable[[int], None] | None = None) -> QatStudent:
    """Find the activation ranges of `student`, in place, by its precision's estimator.

    Ranges are those of the float network: nothing is rounded while they are observed. Afterwards the ranges are frozen and
    fake quantization is on: PTQ's result. They stay as they are through QAT.

    Args:
        batches: network inputs float32 [N, 3, H, W], as `pose.crop.normalise` makes them.
        progress: called with the number of crops after each batch.

    Raises:
        InputError: there are no crops.
    """
    device = next(student.parameters()).device
    student.fake_quant(False)
    student.observe(True)
    seen = 0
    for batch in batches:
        student(batch.to(device))
        seen += len(batch)
        if progress is not None:
            progress(len(batch))
    if seen == 0:
        raise InputError("there are no crops to calibrate on; give at least one")
    student.observe(False)
    student.fake_quant(True)
    return student
