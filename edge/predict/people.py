"""Whose box: annotated, the whole picture, tracked, or a detector's. Each answers `find` with the poses of a frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Unpack

import numpy as np

from edge.predict.identities import Identities
from edge.predict.tracking import PERSON_SCORE, Search, Tracking
from pose.errors import InputError
from pose.poses import Poses, no_poses

if TYPE_CHECKING:
    from calib_data.coco import Reading
    from edge.predict.frames import Frame, Stream
    from edge.predict.sources import Source
    from pose.loading import Estimator


class Finder(Protocol):
    """Finds the people of one source's frames."""

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
    """The boxes of a file of people, joints annotated or not: coordinates are those of `edge.check` for the same box."""

    def __init__(self, estimator: Estimator, file: Path, sources: Sequence[Source], **reading: Unpack[Reading]) -> None:
        from calib_data.coco import open_data

        self._estimator, self._file = estimator, file
        photos = [Path(source.place) for source in sources]
        self._people = open_data(file, min_keypoints=0, photos=photos, **reading)
        self._ids: list[int] = []
        self.image_ids: list[int] = []  # of the people who were found last, in the file

    def photo(self, source: Source) -> np.ndarray:
        """The pixels that the annotations are made on."""
        self._ids = self._people.given.get(Path(source.place), [])
        if not self._ids:
            raise InputError(f"{self._file} {self._people.not_given[Path(source.place)]}")
        if len({self._people.turn(number) for number in self._ids}) > 1:
            raise InputError(f"{self._file} has images of that name with different sizes; correct the file")
        pictures = [self._people.photo(number) for number in self._ids]  # each is compared with the size that its image has
        return pictures[0]

    def start(self, stream: Stream) -> None:
        """A photo stands alone."""

    def find(self, frame: Frame) -> Poses:
        boxes = [self._people.boxes_of(number) for number in self._ids]
        self.image_ids = [number for number, own in zip(self._ids, boxes, strict=True) for _ in own]
        return self._estimator(frame.image, np.concatenate(boxes))


class Whole:
    """One person fills the picture."""

    def __init__(self, estimator: Estimator) -> None:
        self._estimator = estimator

    def start(self, stream: Stream) -> None:
        """Every frame stands alone."""

    def find(self, frame: Frame) -> Poses:
        poses = self._estimator(frame.image)
        return poses.select(poses.person_scores >= PERSON_SCORE)


class Tracked:
    """One person: looked for everywhere in a photo, followed through a video."""

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
