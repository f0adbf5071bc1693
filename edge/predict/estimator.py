"""Keypoints of the people of an image, by one runner: what `pose.load` returns."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from pose import crop
from pose.errors import InputError
from pose.poses import Poses, no_poses

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from pose.skeleton import Skeleton
    from targets.base import Runner

SMALLEST_BOX, LARGEST_BOX = 1e-3, 1e6  # pixels: what is smaller or larger is a mistake, and overflows later


class Estimator:
    """Call it with an image and boxes. It keeps how long its two parts took, see `seconds`.

    Attributes:
        skeleton: the joints of its answers.
        seconds: `crop`, the cutting of crops, and `model`, the runner with its normalisation: all calls together.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self.skeleton: Skeleton = runner.card.skeleton
        self.seconds = {"crop": 0.0, "model": 0.0}

    def __call__(self, image: np.ndarray, boxes: ArrayLike | None = None) -> Poses:
        """The keypoints of the person in each box, whatever the box shows: `Poses.person_scores` says how sure they are.

        Args:
            image: uint8 [H, W, 3], RGB.
            boxes: [N, 4] or [4], (x, y, width, height) in pixels [default: the whole image].

        Raises:
            InputError: the image or a box is not of that form.
            BackendError: the runtime failed.
        """
        if not _is_image(image):
            given = f"{image.dtype} {list(image.shape)}" if isinstance(image, np.ndarray) else type(image).__name__
            raise InputError(f"an image is uint8 [H, W, 3] in RGB, not {given}; convert it first")
        whole = (0.0, 0.0, image.shape[1], image.shape[0])
        places = _checked_boxes(whole if boxes is None else boxes)
        if not len(places):
            return no_poses(self.skeleton)
        spec = self._runner.card.spec
        start = time.perf_counter()
        matrices = [crop.affine(box, spec) for box in places]
        crops = np.stack([crop.warp(image, matrix, spec) for matrix in matrices])
        cut = time.perf_counter()
        coords, scores = self._runner.predict(crops)
        self.seconds["crop"] += cut - start
        self.seconds["model"] += time.perf_counter() - cut
        points = [crop.to_image(c, matrix, spec) for c, matrix in zip(coords.astype(np.float64), matrices, strict=True)]
        return Poses(self.skeleton, np.stack(points), scores, places)


def _is_image(image: object) -> bool:
    return (
        isinstance(image, np.ndarray)
        and image.dtype == np.uint8
        and image.ndim == 3
        and image.shape[2] == 3
        and image.size > 0
    )


def _checked_boxes(boxes: ArrayLike) -> np.ndarray:
    """Boxes as float64 [N, 4].

    Raises:
        InputError: another shape, or a box without an area.
    """
    try:
        places = np.array(boxes, np.float64)
    except (TypeError, ValueError) as error:
        raise InputError("boxes are numbers [N, 4]: x, y, width, height in pixels") from error
    places = places.reshape(0, 4) if places.size == 0 else np.atleast_2d(places)
    if places.ndim != 2 or places.shape[1] != 4:
        raise InputError(f"boxes are [N, 4], not {list(places.shape)}: x, y, width, height in pixels")
    wrong = ~((np.abs(places) < LARGEST_BOX).all(1) & (places[:, 2:] > SMALLEST_BOX).all(1))
    if wrong.any():
        number = int(np.argmax(wrong))
        raise InputError(f"box {number} is {places[number].tolist()}: width and height must be above 0, all of it finite")
    return places
