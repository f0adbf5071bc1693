"""Whose box: annotated, the whole picture, tracked, or a detector's. Each answers `find` with the poses of a frame."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Protocol

import numpy as np

from edge.predict.identities import Identities
from edge.predict.tracking import PERSON_SCORE, Search, Tracking
from pose.errors import InputError
from pose.poses import Poses, no_poses

if TYPE_CHECKING:
    from edge.predict.frames import Frame, Stream
    from edge.predict.sources import Source
    from pose.loading import Estimator


class Finder(Protocol):
    """Finds the people of one source's frames.

    Attributes:
        upright: whether photos are turned as their EXIF data says.
    """

    upright: bool

    def start(self, stream: Stream) -> None:
        """The next frames are those of this source."""
        ...

    def find(self, frame: Frame) -> Poses:
        """The people of the next frame.

        Raises:
            InputError: of this source no box is known.
        """
        ...


class Annotated:
    """The boxes of a COCO file, whatever they show: coordinates are those of `edge.check` for the same box."""

    upright = False  # annotations are made on the pixels as stored

    def __init__(self, estimator: Estimator, file: Path) -> None:
        from calib_data.image_boxes import read_image_boxes

        self._estimator, self._file = estimator, file
        self._images = read_image_boxes(file)
        self._place = ""

    def start(self, stream: Stream) -> None:
        self._place = self._entry_name(stream.source)

    def find(self, frame: Frame) -> Poses:
        entry, boxes = self._images[self._place]
        height, width = frame.image.shape[:2]
        if entry.width and (width, height) != (entry.width, entry.height):
            stated = f"{self._file} says {entry.width} x {entry.height}"
            raise InputError(f"it is {width} x {height}, {stated}; are they of one data set?")
        return self._estimator(frame.image, boxes)

    def image_id(self) -> int:
        """Of the source that was started last, in the file."""
        return self._images[self._place][0].id

    def _entry_name(self, source: Source) -> str:
        """The file name in the json that is the end of the source's path."""
        parts = PurePath(source.place).parts
        for start in range(len(parts)):
            name = "/".join(parts[start:])
            if source.kind == "photo" and name in self._images:
                return name
        raise InputError(f"{self._file} has no image of that name")


class Whole:
    """One person fills the picture."""

    upright = True

    def __init__(self, estimator: Estimator) -> None:
        self._estimator = estimator

    def start(self, stream: Stream) -> None:
        """Every frame stands alone."""

    def find(self, frame: Frame) -> Poses:
        poses = self._estimator(frame.image)
        return poses.select(poses.person_scores >= PERSON_SCORE)


class Tracked:
    """One person: looked for everywhere in a photo, followed through a video."""

    upright = True

    def __init__(self, estimator: Estimator, *, smooth: bool) -> None:
        self._estimator, self._smooth = estimator, smooth
        self._tracking: Tracking | None = None

    def start(self, stream: Stream) -> None:
        is_photo = stream.source.kind == "photo"
        self._tracking = None if is_photo else Tracking(self._estimator, stream.fps, smooth=self._smooth)

    def find(self, frame: Frame) -> Poses:
        if self._tracking is not None:
            return self._tracking.find(frame.image)
        return Search(self._estimator).everywhere(frame.image) or no_poses(self._estimator.skeleton)


class Detected:
    """Everybody whom a detector finds; in a video they keep their numbers."""

    upright = True

    def __init__(self, estimator: Estimator, detector: Callable[[np.ndarray], np.ndarray], *, smooth: bool) -> None:
        self._estimator, self._detector, self._smooth = estimator, detector, smooth
        self._identities: Identities | None = None

    def start(self, stream: Stream) -> None:
        is_photo = stream.source.kind == "photo"
        self._identities = None if is_photo else Identities(stream.fps, smooth=self._smooth)

    def find(self, frame: Frame) -> Poses:
        poses = self._estimator(frame.image, self._detector(frame.image))
        return poses if self._identities is None else self._identities(poses)


def apart(poses: Poses, others: Poses) -> np.ndarray:
    """Distance float64 [N * K], in pixels of the image, between two answers to the same boxes."""
    return np.linalg.norm(poses.keypoints - others.keypoints, axis=-1).ravel()
