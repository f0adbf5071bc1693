"""The task of a training run: the crops, the teacher, the objective, and the people for validation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from calib_data.crops import Crops
from calib_data.sample import PoseSource
from distill import processes, validation
from distill.batches import Batches, network_input, resized
from distill.memory import keep_freed_memory
from distill.objective import Distillation, LabelTeacher, LiveTeacher, Teacher, cached_teacher
from distill.request import LABELS, Request
from distill.teacher_cache import SURE, TeacherCache, cache_teacher, merge_teacher_labels, usual_peak
from distill.teachers import find, foreign_digest, is_foreign
from distill.validation import DecodedNetwork
from pose import foreign, models
from pose.cache import cache_folder
from pose.crop import CropSpec, affine, warp
from pose.errors import InputError
from pose.heatmaps import HeatmapGrid
from pose.models.teacher import NetworkTeacher
from pose.skeleton import Skeleton


@dataclass(frozen=True)
class Task:
    """Everything of a training run but the student.

    Attributes:
        skeleton: of the student.
        batches, objective: see `distill.training.Run`.
        held_out: plain crops of the validation people, at the student's size.
        teacher: its name. teacher_model: where it is a network of ours; live: where it sees the student's own crops, too.
        digests: sha256 of what the result depends on: training data, teacher.
    """

    skeleton: Skeleton
    batches: Batches
    objective: Distillation
    held_out: Crops
    teacher: str
    teacher_model: nn.Module | None
    live: nn.Module | None
    digests: dict[str, str]

    def validate(self, model: nn.Module) -> dict[str, float]:
        """`ap` and `pck` of a student on the validation people, 0..100."""
        return validation.validate(model, self.held_out)

    def compare(self, student: dict[str, float]) -> None:
        """Warn where a teacher of ours is no better than its student."""
        if self.teacher_model is None or self.teacher_model.crop != self.held_out.spec:
            return
        teacher = self.validate(DecodedNetwork(self.teacher_model))
        if teacher["ap"] <= student["ap"]:
            processes.note(
                f"warning: the teacher has AP {teacher['ap']:.1f}, the student {student['ap']:.1f}: it has little to teach; "
                "train it for longer, or give better weights with --teacher-file"
            )


def images(crops: Crops, indices: Sequence[int], size: int) -> Iterator[Tensor]:
    """Network inputs `[size, 3, H, W]` of some crops, batch by batch."""
    for start in range(0, len(indices), size):
        yield network_input([crops.get(index).pixels for index in indices[start : start + size]], crops.spec)


def check_names(student: str, teacher: str) -> None:
    """Raises InputError unless there are a student and a teacher of these names."""
    students = [name for name, spec in models.MODELS.items() if not spec.teacher]
    if student not in students:
        raise InputError(f"student '{student}' is not known; choose one of {', '.join(students)}")
    if teacher != LABELS:
        is_foreign(teacher)


def build(request: Request) -> Task:
    """Find the teacher, cache its predictions where it does not see the student's own crops, and lay out the batches.

    Raises:
        InputError: an unknown teacher, or files that do not fit.
    """
    keep_freed_memory()
    recipe, source = request.recipe, request.train.source
    spec = models.MODELS[request.student]
    sizes = {resized(spec.crop, share) for share in recipe.resolution}
    setup = _labels(request, spec.heatmap) if request.teacher == LABELS else _teacher(request, sizes)
    crops = Crops(source, spec.crop, setup.skeleton, recipe.augmentation, recipe.seed, setup.labels)
    process = processes.state()
    return Task(
        skeleton=setup.skeleton,
        batches=Batches(
            *(crops, recipe.batch, spec.heatmap, setup.cache, process.process_index, process.num_processes),
            weights=request.train.person_weights(),
            resolution=recipe.resolution,
        ),
        objective=Distillation(setup.teacher, recipe.losses, source),
        held_out=Crops(request.validation.source, spec.crop, setup.skeleton),
        teacher=setup.name,
        teacher_model=setup.model,
        live=setup.live,
        digests={"training data": request.train.digest, "validation data": request.validation.digest, **setup.digests},
    )


@dataclass(frozen=True)
class TeacherSetup:
    """The teacher of a task; `labels`: of the crops, where its predictions have completed them."""

    name: str
    teacher: Teacher
    skeleton: Skeleton
    digests: dict[str, str]
    cache: TeacherCache | None = None
    labels: np.ndarray | None = None
    model: nn.Module | None = None
    live: nn.Module | None = None


def _labels(request: Request, grid: tuple[int, int]) -> TeacherSetup:
    if request.teacher_file:
        raise InputError(f"--teacher {LABELS} has no weights; leave out --teacher-file {request.teacher_file}")
    processes.note("the labels are the teacher: there are no tokens, the token losses are off")
    return TeacherSetup(LABELS, LabelTeacher(grid), request.train.source.skeleton, {})


def _first_crops(source: PoseSource, spec: CropSpec, count: int = 4) -> np.ndarray:
    """Crops uint8 [N, H, W, 3] of the first people."""
    people = range(min(count, len(source)))
    return np.stack([warp(source.image(index), affine(source.labels(index).box, spec), spec) for index in people])


def _teacher(request: Request, sizes: set[CropSpec]) -> TeacherSetup:
    process = processes.state()
    student, teacher, train = request.student, request.teacher, request.train
    source, cache, labels = train.source, None, None
    chosen: NetworkTeacher | foreign.ForeignTeacher
    if is_foreign(teacher):
        chosen = foreign.load_teacher(teacher, file=request.teacher_file, threads=torch.get_num_threads())
        digest = foreign_digest(teacher, chosen)
        if not chosen.chooses_person:
            processes.note(
                f"{chosen.name} names no keypoints of its own: where people stand close, its heatmaps may show a "
                "neighbour's joint (MoveNet Thunder's do for 11 % of the sure joints in ordinary photos); if the network "
                "has an output with the keypoints of one person, name it in the YAML as `keypoints`"
            )
    else:
        chosen = find(teacher, request.teacher_file, train, request.validation, request.recipe.seed)
        digest = chosen.digest
    comparable = sizes == {chosen.crop} and chosen.grid == HeatmapGrid()  # cell by cell with a student's simulated heatmaps
    live = chosen.model if isinstance(chosen, NetworkTeacher) and comparable else None
    if live is None:
        processes.note(f"{chosen.name} gives heatmaps but no tokens for {student}: the token losses are off")
        with process.main_process_first():
            cache = cache_teacher(chosen, digest, source, train.digest, cache_folder(), request.recipe.teacher_views)
        if (peak := usual_peak(cache)) < SURE:
            processes.note(
                f"{chosen.name} is sure of nothing: nine in ten of its heatmaps stay below {peak:.2g}, where joints have "
                "about 1; if they are probabilities that sum to 1, or of another unit, correct `scale` in its YAML"
            )
        labels = merge_teacher_labels(source, cache, chosen.skeleton)
    else:
        chosen.observe(_first_crops(source, chosen.crop))  # refuses what is no heatmap; training itself does not look
    return TeacherSetup(
        name=chosen.name,
        teacher=LiveTeacher(live, models.MODELS[student].heatmap) if live else cached_teacher,
        skeleton=chosen.skeleton,
        digests={"teacher": digest},
        cache=cache,
        labels=labels,
        model=chosen.model if isinstance(chosen, NetworkTeacher) else None,
        live=live,
    )
