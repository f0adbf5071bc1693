"""A training run of a few steps, of a network with every kind of state."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from drawn_source import Dots
from tiny_models import Plain
from tiny_student import SPEC
from torch import nn

from calib_data.augment import Augmentation
from calib_data.crops import Crops
from distill.batches import Batch, Batches
from distill.recipe import Recipe
from distill.training import Run
from pose.models.output import PoseOutput
from pose.models.protocols import parameter_groups
from pose.skeleton import COCO_17

ROOT = Path(__file__).parents[1]
RECIPE = Recipe(epochs=3, batch=3, optimiser="muon", lr=1e-2, weight_decay=0.1, ema=0.9, bf16=False)
STEPS = 12


class WithNorm(nn.Module):
    """A network with buffers, and with a matrix for Muon: batch norm and an encoder before the plain student's layers."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone_norm = nn.BatchNorm2d(3)
        self.plain = Plain()  # seeds what comes after it, too
        self.encoder = nn.Linear(SPEC.width, SPEC.width)

    def forward(self, images: torch.Tensor) -> PoseOutput:
        return self.plain(self.encoder(self.backbone_norm(images)))

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        return parameter_groups(self, [self.backbone_norm, self.plain.backbone], [self.encoder])


def objective(model: nn.Module, batch: Batch) -> dict[str, torch.Tensor]:
    output = model(batch.images)
    return {
        "regression": (output.coords - batch.target.coords).square().mean(),
        "sigma": 1e-3 * output.sigmas.mean(),
        "score": 1e-3 * output.scores.square().mean(),
    }


def make(folder: Path, resume: bool = False, recipe: Recipe = RECIPE, objective: Any = objective, **settings: Any) -> Run:
    batches = Batches(Crops(Dots(12), SPEC, COCO_17, Augmentation(), recipe.seed), recipe.batch, (16, 16))
    given = {"student": "plain", "digests": {"teacher": "a"}} | settings
    seen = {"ap": 1.5, "pck": 2.5}
    return Run(
        folder, WithNorm(), objective, batches, recipe, given,
        validate=lambda model: seen, workers=0, resume=resume,
    )  # fmt: skip


def environment() -> dict[str, str]:
    paths = os.pathsep.join(str(ROOT / part) for part in ("", "tests", "tests/distill"))
    return os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
