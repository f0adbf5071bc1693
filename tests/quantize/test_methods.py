"""Methods of quantization-aware fine-tuning: what of the quantization changes while the student trains."""

from __future__ import annotations

import pytest
import torch
from tiny_student import SPEC, tiny_images, tiny_student

from quantize.calibrate import calibrate
from quantize.methods import METHODS
from quantize.precision import Precision
from quantize.program import QatStudent, prepare


def activation_scales(student: QatStudent) -> torch.Tensor:
    """The scale of each activation quantizer."""
    state = student.state_dict()
    return torch.cat([value for name, value in state.items() if name.endswith(".scale") and value.numel() == 1])


@torch.no_grad()
@pytest.mark.parametrize(("method", "grows"), [("frozen_ranges", False), ("growing_ranges", True)])
def test_ranges_while_training(method: str, grows: bool) -> None:
    images = tiny_images(4)
    student = calibrate(prepare(tiny_student().deploy(), Precision(), SPEC), [0.25 * images])
    METHODS.find(method)(student)
    before = activation_scales(student).clone()
    student(images)
    after = activation_scales(student)
    assert bool((after >= before).all())
    assert bool((after > before).any()) == grows
