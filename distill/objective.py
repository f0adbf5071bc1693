"""The objective of a student: DistilPose's losses against a teacher, whatever kind of teacher that is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from calib_data.sample import PoseSource, describe_person
from distill import losses, processes
from distill.batches import Batch
from distill.matching import matched
from distill.optimisers import declared_groups
from distill.recipe import LossWeights
from distill.smaller import Features
from distill.teacher_views import resample
from pose.crop import CropSpec
from pose.errors import InputError
from pose.models.output import PoseOutput
from pose.teacher_output import LARGEST, require_finite_outputs

Teacher = Callable[[Batch], PoseOutput]


class LiveTeacher:
    """A frozen torch teacher that looks at the student's own crops, on their device: heatmaps and tokens.

    Args:
        grid: (width, height) of the student's heatmaps, in whose cells its sigmas are measured; None: the teacher's own.
    """

    def __init__(self, model: nn.Module, grid: tuple[int, int] | None = None) -> None:
        self.model, self.grid = model.eval().requires_grad_(False), grid

    @torch.no_grad()
    def __call__(self, batch: Batch) -> PoseOutput:
        output = _as_float(self.model.to(batch.images.device)(batch.images))
        assert output.heatmaps is not None
        if self.grid is None or output.heatmaps.shape[:1:-1] == self.grid:
            return output
        return replace(output, heatmaps=resample(output.heatmaps, self.grid))


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
    """Precomputed predictions of a teacher: the heatmaps that came with the batch, no tokens."""
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
        output = self.student(images)
        if not self.training:
            return output
        visual = None if output.visual_tokens is None else self.visual_map(output.visual_tokens)
        return replace(output, keypoint_tokens=self.keypoint_map(output.keypoint_tokens), visual_tokens=visual)

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """Those of the student; the maps are in none."""
        return declared_groups(self.student)


def project(student: nn.Module, teacher: nn.Module | None, crop: CropSpec) -> nn.Module:
    """The student, behind linear maps where its tokens are narrower or wider than the teacher's.

    Which losses between tokens are possible follows from the shapes of both networks' outputs; those that are not are named
    once.

    Args:
        student: the network that is trained, or a quantized form of it.
        teacher: a network that sees the student's own crops; None where there is none.
        crop: what both see.
    """
    if teacher is None:
        return student
    ours, theirs = (_probe(network, crop) for network in (student, teacher))
    if ours.keypoint_tokens is None or theirs.keypoint_tokens is None:
        side = "student" if ours.keypoint_tokens is None else "teacher"
        processes.note(f"the {side} has no tokens: the token losses are off")
        return student
    patches = [0 if output.visual_tokens is None else output.visual_tokens.shape[1] for output in (ours, theirs)]
    if patches[0] != patches[1] or not patches[0]:
        processes.note(f"the student has {patches[0]} patches, its teacher {patches[1]}: the visual token loss is off")
    dims = [output.keypoint_tokens.shape[-1] for output in (ours, theirs) if output.keypoint_tokens is not None]
    return student if dims[0] == dims[1] else Projected(student, *dims)


@torch.no_grad()
def _probe(network: nn.Module, crop: CropSpec) -> PoseOutput:
    """The network's output for one black crop, in evaluation mode."""
    training, device = network.training, next(network.parameters()).device
    output: PoseOutput = network.eval()(torch.zeros(1, 3, crop.height, crop.width, device=device))
    network.train(training)
    return output


@dataclass(frozen=True)
class Distillation:
    """The terms of the loss of a batch; see `distill.losses`.

    Attributes:
        source: of the training people, whom messages name.
        twin: the float student in evaluation mode, while its int8 twin is trained and is to stay near it; or the larger
            student that this one replaces.
        features: of the trunks of both, where they are compared.
    """

    teacher: Teacher
    weights: LossWeights
    source: PoseSource
    twin: nn.Module | None = None
    features: Features | None = None

    def __call__(self, student: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """The terms of a student's loss.

        Raises:
            InputError: every term has the weight 0.
            BackendError: the teacher answered NaN, infinity or more than float16 can hold.
        """
        predictions = self.teacher(batch)
        self._require_finite(predictions, batch)
        twin = None
        if self.twin is not None:
            with torch.no_grad():
                twin = self.twin.to(batch.images.device)(batch.images).coords.float()
        output = matched(_as_float(student(batch.images)), batch.target.coords)
        with torch.autocast(batch.images.device.type, enabled=False):
            trunks = self.features.pair() if self.features is not None else None
            terms = losses.terms(output, predictions, batch.target, self.weights, twin, student, trunks)
        if not any(self.weights.factor(name) for name in terms):
            raise InputError(
                f"nothing would be learnt: the recipe gives every loss that applies here ({', '.join(terms)}) the weight 0"
            )
        return terms

    def _require_finite(self, predictions: PoseOutput, batch: Batch) -> None:
        outputs = {name: value for name, value in vars(predictions).items() if value is not None}
        if all(bool((value.abs() <= LARGEST).all()) for value in outputs.values()):
            return
        arrays = {name.replace("_", " "): value.float().cpu().numpy() for name, value in outputs.items()}
        require_finite_outputs(arrays, "the teacher", [describe_person(self.source, index) for index in batch.people])


def _as_float(output: PoseOutput) -> PoseOutput:
    """Losses are computed in float32: a coordinate in bfloat16 has a step of half a pixel."""
    return PoseOutput(**{name: value.float() for name, value in vars(output).items() if value is not None})
