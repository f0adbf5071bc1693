"""Accuracy of a teacher on annotated people."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from calib_data.sample import describe_person
from edge.evaluate.answers import answer
from edge.evaluate.columns import accuracy, chance_pck
from edge.evaluate.records import TeacherScore
from pose import cli, decode, models
from pose.errors import InputError
from pose.foreign import load_teacher
from pose.heatmaps import fuse_flip
from pose.scoring import shared_joints
from pose.teacher_output import observe

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from calib_data.sample import PoseSource
    from pose.models.protocols import Teacher
    from pose.skeleton import Skeleton


class DecodedTeacher:
    """A teacher whose keypoints are decoded from its heatmaps by a method of the caller's, as published figures are made.

    Args:
        method: see `pose.decode.decode`. flip: average the heatmaps with those of the mirrored crop.

    Raises:
        InputError: the method is for heatmaps of another grid.
    """

    def __init__(self, teacher: Teacher, method: decode.Method, flip: bool) -> None:
        self.name, self.skeleton, self.crop, self.grid = teacher.name, teacher.skeleton, teacher.crop, teacher.grid
        decode.require_grid(method, self.grid, self.name)
        self._teacher, self._method, self._flip = teacher, method, flip

    def observe(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """See `pose.models.protocols.Teacher`."""
        heatmaps = self._teacher.observe(crops)[0]
        if self._flip:
            mirrored = self._teacher.observe(crops[:, :, ::-1])[0]
            heatmaps = fuse_flip(heatmaps, mirrored, self.skeleton.flip, self.grid)
        kernel = decode.KERNEL if self._method == "dark" else 0
        return heatmaps, *decode.decode(heatmaps, self._method, kernel=kernel, grid=self.grid)


class _CheckedTeacher:
    """A teacher as a predictor of one person after the other, whose heatmaps have to be finite, too: students learn them."""

    def __init__(self, teacher: Teacher, source: PoseSource) -> None:
        self._teacher, self._source, self._numbers = teacher, source, itertools.count()

    def predict(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return observe(self._teacher, crops, [describe_person(self._source, next(self._numbers))])[1:]


def open_teacher(name: str, file: Path | None, skeleton: Skeleton) -> Teacher:
    """A network of ours, by its name in `pose.models.MODELS`, or a foreign one.

    Args:
        name: as `--teacher` has it. file: the weights of a network of ours; the model file of a foreign one.
        skeleton: the joints that a network of ours was trained on: those of the data.

    Raises:
        InputError: see `load_network` and `load_teacher`.
    """
    name = models.resolve(name, teacher=True)
    if name in models.MODELS:
        if not models.MODELS[name].teacher:
            raise InputError(f"{name} is a student; score it with edge.check")
        from pose.models.teacher import load_network

        return load_network(name, file, skeleton)
    return load_teacher(name, file=file)


def score_teacher(teacher: Teacher, source: PoseSource, data: str, limit: int | None = None, seed: int = 0) -> TeacherScore:
    """AP and PCK@0.2 of the teacher over the joints that it shares with the data.

    Args:
        data: name of the data, for the record.

    Raises:
        InputError: the two share no joint.
        BackendError: the teacher answered NaN, infinity or more than float16 can hold, in which its heatmaps are cached.
    """
    joints = shared_joints(source.skeleton, teacher.skeleton)
    count = min(limit or len(source), len(source))
    scene, answers = answer(
        {teacher.name: _CheckedTeacher(teacher, source)},
        teacher.crop,
        source,
        limit,
        lambda numbers: cli.track(numbers, "Scoring", count),
    )
    column = accuracy(scene, answers[teacher.name], teacher.skeleton, seed)
    chance = chance_pck(scene, teacher.skeleton)
    return TeacherScore(teacher=teacher.name, joints=list(joints), data=data, chance_pck=chance, **column.model_dump())
