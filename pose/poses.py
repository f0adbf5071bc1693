"""Keypoints of the people of one image, as `pose.load` and `edge.predict` return them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pose.skeleton import Skeleton

JOINT_SCORE = 0.1  # joints that score less are not drawn: in half of their crops they are outside the picture or hidden


@dataclass(frozen=True)
class Poses:
    """N people of one image, none of them if it shows nobody.

    Attributes:
        skeleton: the K joints, in the order of every K below.
        keypoints: float64 [N, K, 2], (x, y) in pixels of the image; the centre of a pixel is at its integer index.
        scores: float32 [N, K], confidence of each joint, about 0..1.
        boxes: float64 [N, 4], (x, y, width, height) in pixels: where each person was looked for.
        tracks: int64 [N], numbers that people keep from frame to frame; None where each image stands alone.
    """

    skeleton: Skeleton
    keypoints: np.ndarray
    scores: np.ndarray
    boxes: np.ndarray
    tracks: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.keypoints)

    @property
    def joints(self) -> tuple[str, ...]:
        """Names of the K joints."""
        return self.skeleton.joints

    @property
    def person_scores(self) -> np.ndarray:
        """float64 [N]: the mean of each person's joint scores, as in COCO's evaluation."""
        return self.scores.mean(axis=1, dtype=np.float64) if len(self) else np.zeros(0)

    def select(self, chosen: np.ndarray) -> Poses:
        """The people of those indices, or of a mask [N]."""
        tracks = None if self.tracks is None else self.tracks[chosen]
        return Poses(self.skeleton, self.keypoints[chosen], self.scores[chosen], self.boxes[chosen], tracks)

    def to_coco(self, image_id: int = 0, category_id: int = 1) -> list[dict[str, Any]]:
        """Entries of COCO's results format, one a person: keypoints [x, y, score, ...], bbox and score; track_id if any."""
        entries = []
        for index in range(len(self)):
            triples = np.column_stack([self.keypoints[index], self.scores[index]])
            entry = {
                "image_id": image_id,
                "category_id": category_id,
                "keypoints": triples.ravel().tolist(),
                "bbox": self.boxes[index].tolist(),
                "score": float(self.person_scores[index]),
            }
            entries.append(entry if self.tracks is None else {**entry, "track_id": int(self.tracks[index])})
        return entries

    def draw(self, image: np.ndarray, least: float = JOINT_SCORE) -> np.ndarray:
        """A copy of the image uint8 [H, W, 3], RGB, with the people on it.

        Args:
            least: joints that score less are left out.
        """
        from pose.draw import draw_pose

        drawn = image.copy()
        for keypoints, scores in zip(self.keypoints, self.scores, strict=True):
            size = min(float(np.ptp(keypoints, axis=0).max()), min(image.shape[:2]))
            drawn = draw_pose(drawn, keypoints, self.skeleton, scores=scores, least=least, size=size)
        return drawn


def no_poses(skeleton: Skeleton) -> Poses:
    """The answer for an image that shows nobody."""
    keypoints = len(skeleton)
    return Poses(skeleton, np.zeros((0, keypoints, 2)), np.zeros((0, keypoints), np.float32), np.zeros((0, 4)))
