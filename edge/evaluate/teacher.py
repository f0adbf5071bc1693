"""Accuracy of a foreign teacher on annotated people."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from calib_data.sample import describe_person
from edge.evaluate.answers import answer
from edge.evaluate.columns import accuracy
from edge.evaluate.records import TeacherScore
from pose import cli
from pose.scoring import shared_joints
from pose.teacher_output import observe

if TYPE_CHECKING:
    import numpy as np

    from calib_data.sample import PoseSource
    from pose.foreign import HeatmapTeacher


class _CheckedTeacher:
    """A teacher as a predictor of one person after the other, whose heatmaps have to be finite, too: students learn them."""

    def __init__(self, teacher: HeatmapTeacher, source: PoseSource) -> None:
        self._teacher, self._source, self._numbers = teacher, source, itertools.count()

    def predict(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return observe(self._teacher, crops, [describe_person(self._source, next(self._numbers))])[1:]


def score_teacher(
    teacher: HeatmapTeacher, source: PoseSource, data: str, limit: int | None = None, seed: int = 0
) -> TeacherScore:
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
    return TeacherScore(teacher=teacher.name, joints=list(joints), data=data, **column.model_dump())
