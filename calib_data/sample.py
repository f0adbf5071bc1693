"""What every data source yields: a photo, a person's box, and where the joints are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from pose.skeleton import Skeleton


@dataclass(frozen=True)
class Sample:
    """One person in one image.

    Attributes:
        image: uint8 `[H, W, 3]`, RGB.
        box: float64 `[4]`, (x, y, width, height) in image pixels, before any padding.
        keypoints: float64 `[K, 3]`, (x, y, v) in image pixels; v is 0 (not labelled), 1 (occluded) or 2 (visible).
        area: the person's area in square pixels, the scale of the object keypoint similarity.
        image_id, person_id: as in the annotation file.
    """

    image: np.ndarray
    box: np.ndarray
    keypoints: np.ndarray
    area: float
    image_id: int
    person_id: int


class PoseSource(Protocol):
    """A sequence of samples with one skeleton. `source[i]` is deterministic."""

    skeleton: Skeleton

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...
