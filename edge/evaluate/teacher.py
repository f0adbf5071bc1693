"""Accuracy of a foreign teacher on annotated people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.evaluate.answers import answer
from edge.evaluate.columns import accuracy
from edge.evaluate.records import TeacherScore
from pose import cli
from pose.scoring import shared_joints

if TYPE_CHECKING:
    from calib_data.sample import PoseSource
    from pose.foreign import HeatmapTeacher


def score_teacher(
    teacher: HeatmapTeacher, source: PoseSource, data: str, limit: int | None = None, seed: int = 0
) -> TeacherScore:
    """AP and PCK@0.2 of the teacher over the joints that it shares with the data.

    Args:
        data: name of the data, for the record.

    Raises:
        InputError: the two share no joint.
        BackendError: the teacher answered NaN or infinity.
    """
    joints = shared_joints(source.skeleton, teacher.skeleton)
    count = min(limit or len(source), len(source))
    scene, answers = answer(
        {teacher.name: teacher}, teacher.crop, source, limit, lambda numbers: cli.track(numbers, "Scoring", count)
    )
    column = accuracy(scene, answers[teacher.name], teacher.skeleton, seed)
    return TeacherScore(teacher=teacher.name, joints=list(joints), data=data, **column.model_dump())
