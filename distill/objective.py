"""The objective of a student: DistilPose's losses against a teacher, whatever kind of teacher that is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from distill import losses, processes
from distill.batches import Batch
from distill.recipe import LossWeights
from pose.models.output import PoseOutput

Teacher = Callable[[Batch], PoseOutput]


class LiveTeacher:
    """A frozen torch teacher that looks at the student's own crops, on their device: heatmaps and tokens."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model.eval().requires_grad_(False)

    @torch.no_grad()
    def __call__(self, batch: Batch) -> PoseOutput:
        return _as_float(self.model.to(batch.images.device)(batch.images))


class LabelTeacher:
    """The labels themselves, drawn as heatmaps of (width, height) `grid`: for people whose labels are exact, no tokens.

    The maps of unlabelled joints are empty. L_sim weighs joints by batch, as published: where one is labelled in others of
    the batch only, it makes the student's Gaussian narrow.
    """

    def __init__(self, grid: tuple[int, int]) -> None:
        self.grid = grid

    def __call__(self, batch: Batch) -> PoseOutput:
        return PoseOutput(heatmaps=losses.label_heatmaps(batch.target, self.grid))


def cached_teacher(batch: Batch) -> PoseOutput:
    """A teacher that has spoken already: the heatmaps that came with the batch, no tokens."""
    return PoseOutput(heatmaps=batch.heatmaps)


class Projected(nn.Module):
    """A student in training whose tokens go through linear maps to the teacher's width; the maps are dropped at export.

    Args:
        student: returns `PoseOutput`. dim: of its tokens. teacher_dim: of the teacher's.
    """

    def __init__(self, student: nn.Module, dim: int, teacher_dim: int) -> None:
        super().__init__()
        self.student = student
        self.keypoint_map = nn.Linear(dim, teacher_dim)
        self.visual_map = nn.Linear(dim, teacher_dim)

    def forward(self, images: Tensor) -> PoseOutput:
        out = self.student(images)
        if not self.training:
            return out
        tokens = self.keypoint_map(out.keypoint_tokens), self.visual_map(out.visual_tokens)
        return PoseOutput(out.coords, out.scores, out.sigmas, None, *tokens)


def project(student: nn.Module, network: nn.Module, teacher: nn.Module | None) -> nn.Module:
    """The student, behind linear maps where its tokens are narrower or wider than the teacher's.

    Args:
        student: what is trained: `network`, or a quantized form of it.
        teacher: whose tokens the student sees; None where there are none.
    """
    if teacher is None:
        return student
    if network.grid != teacher.grid:
        processes.note(f"the student has {network.grid} patches, its teacher {teacher.grid}: the visual token loss is off")
    ours, theirs = (cast(Tensor, each.keypoint_token).shape[-1] for each in (network, teacher))
    return student if theirs == ours else Projected(student, ours, theirs)


@dataclass(frozen=True)
class Distillation:
    """The terms of the loss of a batch; see `distill.losses`.

    Attributes:
        twin: the float student in evaluation mode, while its int8 twin is trained and is to stay near it.
    """

    teacher: Teacher
    weights: LossWeights
    twin: nn.Module | None = None

    def __call__(self, student: nn.Module, batch: Batch) -> dict[str, Tensor]:
        taught = self.teacher(batch)
        twin = None
        if self.twin is not None:
            with torch.no_grad():
                twin = self.twin.to(batch.images.device)(batch.images).coords.float()
        seen = _as_float(student(batch.images))
        with torch.autocast(batch.images.device.type, enabled=False):
            return losses.terms(seen, taught, batch.target, self.weights, twin)


def _as_float(output: PoseOutput) -> PoseOutput:
    """Losses are computed in float32: a coordinate in bfloat16 has a step of half a pixel."""
    return PoseOutput(**{name: value.float() for name, value in vars(output).items() if value is not None})
