"""A source of people drawn as one dot each, so that a test can find a joint in the picture."""

from __future__ import annotations

import cv2
import numpy as np

from calib_data.sample import Labels
from pose.skeleton import COCO_17, Skeleton

SIZE = 120


class Dots:
    """Grey images of 120x120 with one white dot at joint `shown`; every joint is labelled, none near the edge."""

    def __init__(self, length: int = 5, shown: int = 9, skeleton: Skeleton = COCO_17) -> None:
        self.length, self.shown, self.skeleton = length, shown, skeleton

    def __len__(self) -> int:
        return self.length

    def labels(self, index: int) -> Labels:
        rng = np.random.default_rng((7, range(self.length)[index]))
        points = rng.uniform(35, SIZE - 35, (len(self.skeleton), 2))
        keypoints = np.column_stack([points, np.full(len(points), 2.0)])
        return Labels(np.array([30.0, 30, SIZE - 60, SIZE - 60]), keypoints, 3600.0, index + 1, index + 1)

    def image(self, index: int) -> np.ndarray:
        image = np.full((SIZE, SIZE, 3), 60, np.uint8)
        centre = tuple(int(value) for value in np.round(Dots.labels(self, index).keypoints[self.shown, :2] * 16))
        cv2.circle(image, centre, 4 * 16, (255, 255, 255), -1, cv2.LINE_AA, 4)
        return image
