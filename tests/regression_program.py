"""Small students of the regression families, trained on a few drawn people, as int8 programs."""

from __future__ import annotations

from pathlib import Path

import torch
from tiny_regression import FAMILIES, GRID
from tiny_student import SPEC

from calib_data.crops import Crops
from calib_data.synthetic import validation
from distill.batches import Batch, Batches
from distill.objective import Distillation, LabelTeacher
from distill.recipe import LossWeights
from pose.program import Program, save_program
from pose.skeleton import COCO_17
from quantize.calibrate import calibrate
from quantize.precision import Precision
from quantize.program import describe, finish, float_program, prepare

PEOPLE = 6
OWN = {"rle": "residual_log_likelihood", "prtr": "hungarian", "poseur": "residual_log_likelihood"}  # loss of each family


def batch() -> Batch:
    """All people at once, from plain crops."""
    return Batches(Crops(validation(PEOPLE), SPEC, COCO_17), PEOPLE, GRID)[0]


def objective(family: str) -> Distillation:
    """Simulated heatmaps and confidences against labels, and the family's own loss."""
    extra = {OWN[family]: 0.2 if family == "prtr" else 0.01} if family in OWN else {}
    weights = LossWeights(regression=1, beta=0.02, simulated_heatmap=10, confidence=0.1, extra=extra)
    return Distillation(LabelTeacher(GRID), weights, validation(PEOPLE))


def trained(family: str, steps: int = 150) -> torch.nn.Module:
    """A student that knows its people by heart."""
    model, images, loss = FAMILIES[family]().train(), batch(), objective(family)
    optimiser = torch.optim.Adam(model.parameters(), 5e-3)
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = 5e-3 * (1 - step / steps)
        optimiser.zero_grad()
        torch.stack([*loss(model, images).values()]).sum().backward()
        optimiser.step()
    return model.eval()


def program(family: str, folder: Path) -> Program:
    """The student, calibrated on the people."""
    form = trained(family).deploy()
    fp32 = float_program(form, SPEC)
    quantized = calibrate(prepare(form, Precision(), SPEC), [batch().images])
    int8 = finish(quantized)
    card = describe(family, COCO_17, fp32, int8, quantized.precision, SPEC, {"weights": "0" * 64})
    return save_program(folder, fp32, int8, card)
