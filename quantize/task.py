"""What a student is trained on: its crops, its teacher's say, and the people it is validated on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from calib_data.crops import Crops
from pose import foreign, models
from pose.crop import CropSpec
from pose.errors import InputError
from pose.files import sha256
from pose.skeleton import Skeleton
from quantize import evaluate, processes
from quantize.batches import Batches, network_input
from quantize.distillation import Distillation, LabelTeacher, LiveTeacher, Teacher, view_teacher
from quantize.request import Request
from quantize.teachers import Decoded, TorchTeacher, cache_folder, find, is_foreign, resized
from quantize.views import TeacherViews, ask, settle_labels

LABELS = "labels"  # as --teacher: none but the labels themselves, for people whose labels are exact


@dataclass(frozen=True)
class Task:
    """Everything of a training run but the student.

    Attributes:
        skeleton: of the student.
        batches, objective: see `quantize.training.Run`.
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
        return evaluate.validate(model, self.held_out)

    def compare(self, student: dict[str, float]) -> None:
        """Warn where a teacher of ours is no better than the student that it is to teach."""
        if self.teacher_model is None or models.MODELS[self.teacher].crop != self.held_out.spec:
            return
        theirs = self.validate(Decoded(self.teacher_model))
        if theirs["ap"] <= student["ap"]:
            processes.note(
                f"warning: the teacher has AP {theirs['ap']:.1f}, the student {student['ap']:.1f}: it has little to teach; "
                "train it for longer, or give better weights with --teacher-file"
            )


def images(crops: Crops, indices: Sequence[int], size: int) -> Iterator[Tensor]:
    """Network inputs `[size, 3, H, W]` of some crops, batch by batch."""
    for start in range(0, len(indices), size):
        yield network_input([crops.get(index).pixels for index in indices[start : start + size]], crops.spec)


def check_names(student: str, teacher: str) -> None:
    """Whether both names say something.

    Raises:
        InputError: one does not.
    """
    students = [name for name, spec in models.MODELS.items() if not spec.teacher]
    if student not in students:
        raise InputError(f"student '{student}' is not known; choose one of {', '.join(students)}")
    if teacher != LABELS:
        is_foreign(teacher)


def build(request: Request) -> Task:
    """Find the teacher, ask it what can be asked beforehand, and lay out the batches.

    Raises:
        InputError: an unknown teacher, or files that do not fit.
    """
    recipe, source = request.recipe, request.train.source
    spec = models.MODELS[request.student]
    crop = resized(spec.crop, recipe.resolution)
    taught = _labels(request, spec.heatmap) if request.teacher == LABELS else _teacher(request, crop)
    crops = Crops(source, crop, taught.skeleton, recipe.augmentation, recipe.seed, taught.labels)
    process = processes.state()
    return Task(
        skeleton=taught.skeleton,
        batches=Batches(crops, recipe.batch, spec.heatmap, taught.views, process.process_index, process.num_processes),
        objective=Distillation(taught.teacher, recipe.losses),
        held_out=Crops(request.validation.source, spec.crop, taught.skeleton),
        teacher=taught.name,
        teacher_model=taught.model,
        live=taught.live,
        digests={"training data": request.train.digest, "validation data": request.validation.digest, **taught.digests},
    )


@dataclass(frozen=True)
class _Taught:
    """What a teacher brings to a task; `labels` of the crops where it has completed them."""

    name: str
    teacher: Teacher
    skeleton: Skeleton
    digests: dict[str, str]
    views: TeacherViews | None = None
    labels: np.ndarray | None = None
    model: nn.Module | None = None
    live: nn.Module | None = None


def _labels(request: Request, grid: tuple[int, int]) -> _Taught:
    if request.teacher_file:
        raise InputError(f"--teacher {LABELS} has no weights; leave out --teacher-file {request.teacher_file}")
    processes.note("the labels are the teacher: there are no tokens, the token losses are off")
    return _Taught(LABELS, LabelTeacher(grid), request.train.source.skeleton, {})


def _teacher(request: Request, crop: CropSpec) -> _Taught:
    process = processes.state()
    student, teacher, train = request.student, request.teacher, request.train
    source, views, labels = train.source, None, None
    chosen: TorchTeacher | foreign.HeatmapTeacher
    if is_foreign(teacher):
        chosen = foreign.load_teacher(teacher, file=request.teacher_file, threads=torch.get_num_threads())
        digest = sha256(chosen.path)
        if Path(teacher).suffix:  # its YAML says what the file's outputs mean
            digest = hashlib.sha256(f"{digest} {sha256(Path(teacher))}".encode()).hexdigest()
    else:
        chosen = find(teacher, request.teacher_file, train, request.validation, request.recipe.seed)
        digest = chosen.digest
    live = chosen.model if isinstance(chosen, TorchTeacher) and chosen.crop == crop else None
    if live is None:
        processes.note(f"{chosen.name} gives heatmaps but no tokens for {student}: the token losses are off")
        with process.main_process_first():
            views = ask(chosen, digest, source, train.digest, cache_folder())
        labels = settle_labels(source, views, chosen.skeleton)
    return _Taught(
        name=chosen.name,
        teacher=LiveTeacher(live) if live else view_teacher,
        skeleton=chosen.skeleton,
        digests={"teacher": digest},
        views=views,
        labels=labels,
        model=chosen.model if isinstance(chosen, TorchTeacher) else None,
        live=live,
    )
