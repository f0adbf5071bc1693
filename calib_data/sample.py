"""The interface of every data source: where a person is in an image and where the joints are, and the image itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from pose.skeleton import Skeleton


@dataclass(frozen=True)
class Labels:
    """The annotation of one person.

    Attributes:
        box: float64 `[4]`, (x, y, width, height) in image pixels, before any padding.
        keypoints: float64 `[K, 3]`, (x, y, v) in image pixels; v is 0 (not labelled), 1 (occluded) or 2 (visible).
        area: the person's area in square pixels, the scale of the object keypoint similarity.
        image_id, person_id: as in the annotation file.
    """

    box: np.ndarray
    keypoints: np.ndarray
    area: float
    image_id: int
    person_id: int


class PoseSource(Protocol):
    """Numbered people of one skeleton; what a number stands for never changes.

    Both methods take negative numbers, counted from the end, and raise IndexError beyond either end.
    """

    skeleton: Skeleton

    def __len__(self) -> int: ...

    def labels(self, index: int) -> Labels:
        """The annotation; no pixels are decoded for it."""
        ...

    def image(self, index: int) -> np.ndarray:
        """The image that the person is in, uint8 `[H, W, 3]`, RGB.

        Raises:
            InputError: it cannot be read.
        """
        ...


def describe_person(source: PoseSource, index: int) -> str:
    """Which person a number stands for, for messages: `person 3 (image 17)`."""
    return f"person {index} (image {source.labels(index).image_id})"
