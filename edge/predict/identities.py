"""Several people through the frames of a video: who of this frame is who of the last ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge.predict.one_euro import OneEuro
from edge.predict.tracking import Box, overlap
from pose.errors import BackendError
from pose.poses import Poses

_LEAST = 0.2  # intersection over union of two frames' boxes that may be of one person
_PATIENCE = 1.0  # seconds that a person may be out of sight and keep the number


@dataclass
class _Person:
    number: int
    box: Box
    frame: int
    filter: OneEuro


class Identities:
    """Gives people numbers, from 1, which they keep: each box goes to the last known one that it overlaps, all of them
    together as much as can be (`scipy.optimize.linear_sum_assignment`).

    Args:
        fps: of the frames.
        smooth: filter the keypoints over time.

    Raises:
        BackendError: scipy is not installed.
    """

    def __init__(self, fps: float, *, smooth: bool) -> None:
        try:
            from scipy.optimize import linear_sum_assignment
        except ModuleNotFoundError as error:
            raise BackendError("--detector needs scipy for a video; pip install 'distilpose-edge[detector]'") from error
        self._assign = linear_sum_assignment
        self._fps, self._smooth = fps, smooth
        self._people: list[_Person] = []
        self._frame = self._last_number = 0

    def __call__(self, poses: Poses) -> Poses:
        """The next frame's people with their numbers; keypoints are filtered."""
        self._frame += 1
        self._people = [one for one in self._people if self._frame - one.frame <= _PATIENCE * self._fps]
        known = self._matched(poses.boxes)
        keypoints, numbers = poses.keypoints.copy(), np.zeros(len(poses), np.int64)
        for index, box in enumerate(poses.boxes):
            person = known.get(index)
            if person is None:
                self._last_number += 1
                person = _Person(self._last_number, box, self._frame, OneEuro(self._fps))
                self._people.append(person)
            person.box, person.frame, numbers[index] = box, self._frame, person.number
            if self._smooth:
                keypoints[index] = person.filter(keypoints[index], float(box[2:].max()))
        return Poses(poses.skeleton, keypoints, poses.scores, poses.boxes, numbers)

    def _matched(self, boxes: np.ndarray) -> dict[int, _Person]:
        """Index of a box -> the person whom it shows."""
        overlaps = np.array([overlap(one.box, box) for one in self._people for box in boxes])
        overlaps = overlaps.reshape(len(self._people), len(boxes))
        rows, columns = self._assign(-overlaps)
        return {
            int(column): self._people[row]
            for row, column in zip(rows, columns, strict=True)
            if overlaps[row, column] >= _LEAST
        }
