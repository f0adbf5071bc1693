"""One person without a detector: the whole frame first, then tiles of it, then the crop around the last keypoints."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from edge.predict.one_euro import OneEuro
from pose.poses import Poses, no_poses

if TYPE_CHECKING:
    from pose.loading import Estimator

# A person is seen where the mean of the joints' scores is at least PERSON_SCORE. Measured for distilpose_edge in int8: none
# of 479 empty boxes (parts of COCO photos beside the annotated people, plain colours, noise) scores that much, and none of
# 91 drawn rooms in one of their tiles; 300 of 300 people of LSP-extended do, and 67 % of 135 people of COCO with 8 or more
# labelled joints. One who was seen in the last frame is lost below LOST_SCORE, which 3.5 % of the empty boxes reach.
PERSON_SCORE, LOST_SCORE = 0.2, 0.11
GROWTH = 1.2  # of a box about keypoints, as in `--boxes keypoints`: with a crop's padding of 1.25 the crop is 1.5 times it
BOX_SCORE = 0.03  # of the joints that a box is made of: legs that are seen badly stay in the crop, and are then seen better
REFINEMENTS = 2  # crops about the keypoints of a first look, which sees the person small or cut
_STILL = 0.75  # intersection over union above which the crop stays where it is, so that it does not shake with the keypoints
_SHRINKING = 0.9  # of the box's sides from frame to frame at most: an arm that is not seen for a moment stays inside
_MOST_TILES = 16  # along the longer side: a photo of a few rows of pixels would have thousands
_TILES_A_FRAME = 2  # of a video, while nobody is found

Box = np.ndarray  # float64 [4]: x, y, width, height


def body_box(poses: Poses) -> Box:
    """The box about the keypoints of the first person: those that are not out of sight, the three surest at least."""
    sure = poses.scores[0] >= min(BOX_SCORE, float(np.sort(poses.scores[0])[-3:][0]))
    points = poses.keypoints[0][sure]
    low, high = points.min(0), points.max(0)
    size = np.maximum((high - low) * GROWTH, 2.0)
    return np.concatenate([(low + high - size) / 2, size])


def tiles(width: int, height: int) -> list[Box]:
    """Overlapping squares in which a person smaller than the frame is looked for: its shorter side, then 0.6 of it.

    In a frame of which one side is many times the other they are larger, as far as the frame goes: there would be too many.
    """
    squares = []
    for share in (1.0, 0.6):
        side = max(share * min(width, height), 1.5 * max(width, height) / _MOST_TILES)
        columns, rows = (max(1, round(1.5 * length / side) if length > side * 1.05 else 1) for length in (width, height))
        wide, high = min(side, width), min(side, height)
        for top in np.linspace(0, height - high, rows):
            squares += [np.array([left, top, wide, high]) for left in np.linspace(0, width - wide, columns)]
    return squares


def overlap(a: Box, b: Box) -> float:
    """Intersection over union of two boxes (x, y, width, height)."""
    sides = np.minimum(a[:2] + a[2:], b[:2] + b[2:]) - np.maximum(a[:2], b[:2])
    shared = float(np.prod(np.maximum(sides, 0)))
    return shared / max(float(np.prod(a[2:]) + np.prod(b[2:]) - shared), 1e-9)


class Search:
    """Looks for one person in an image whose place is not known.

    Args:
        estimator: of keypoints in a box.
    """

    def __init__(self, estimator: Callable[[np.ndarray, np.ndarray], Poses]) -> None:
        self._estimator = estimator
        self._turn = 0

    def everywhere(self, image: np.ndarray) -> Poses | None:
        """The person, after a look at the whole image and then at every tile; None if nobody is seen."""
        height, width = image.shape[:2]
        whole = np.array([0.0, 0.0, width, height])
        return self._best(image, [whole]) or self._best(image, tiles(width, height))

    def a_little(self, image: np.ndarray) -> Poses | None:
        """Like `everywhere`, with two tiles at a time: for the next frame of a video."""
        height, width = image.shape[:2]
        every = tiles(width, height)
        turns = [(self._turn + step) % len(every) for step in range(_TILES_A_FRAME)]
        self._turn = turns[-1] + 1
        whole = np.array([0.0, 0.0, width, height])
        return self._best(image, [whole]) or self._best(image, [every[turn] for turn in turns])

    def _best(self, image: np.ndarray, boxes: list[Box]) -> Poses | None:
        poses = self._estimator(image, np.stack(boxes))
        best = poses.select(np.array([int(np.argmax(poses.person_scores))]))
        for _ in range(REFINEMENTS):
            closer = self._estimator(image, body_box(best))
            if closer.person_scores[0] <= best.person_scores[0]:
                break
            best = closer
        return best if best.person_scores[0] >= PERSON_SCORE else None


class Tracking:
    """One person through the frames of a video.

    Args:
        fps: of the frames.
        smooth: filter the keypoints over time.
    """

    def __init__(self, estimator: Estimator, fps: float, *, smooth: bool = True) -> None:
        self._estimator, self._fps, self._smooth = estimator, fps, smooth
        self._search = Search(estimator)
        self._box: Box | None = None
        self._filter: OneEuro | None = None
        self._track = 0

    def find(self, image: np.ndarray) -> Poses:
        """The person in the next frame, or nobody; a person who is found anew gets a new number."""
        poses = self._followed(image)
        if poses is None:
            poses = self._search.a_little(image)
            if poses is None:
                self._box = None
                return no_poses(self._estimator.skeleton)
            self._track += 1
            self._box = body_box(poses)
            self._filter = OneEuro(self._fps) if self._smooth else None
        keypoints = poses.keypoints
        if self._filter is not None:
            keypoints = self._filter(keypoints[0], float(self._box[2:].max()) if self._box is not None else 1.0)[None]
        return Poses(poses.skeleton, keypoints, poses.scores, poses.boxes, np.array([self._track]))

    def _followed(self, image: np.ndarray) -> Poses | None:
        """The person in the crop around the last keypoints; None if there were none, or the person is not there."""
        if self._box is None:
            return None
        poses = self._estimator(image, self._box)
        if poses.person_scores[0] < LOST_SCORE:
            return None
        new = body_box(poses)
        if overlap(new, self._box) < _STILL:
            size = np.maximum(new[2:], _SHRINKING * self._box[2:])
            self._box = np.concatenate([new[:2] + (new[2:] - size) / 2, size])
        return poses
