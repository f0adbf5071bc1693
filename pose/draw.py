"""Draw poses on images, for the demo and the report."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from pose.skeleton import Skeleton

LEFT, RIGHT, MIDDLE = (0, 200, 255), (255, 130, 0), (60, 230, 60)  # RGB
_COLOURS = {"left": LEFT, "right": RIGHT}


def draw_pose(
    image: np.ndarray,
    keypoints: np.ndarray,
    skeleton: Skeleton,
    *,
    scores: np.ndarray | None = None,
    least: float = 0.3,
    size: float | None = None,
) -> np.ndarray:
    """A copy of an image with a pose on it: the person's left in blue, the right in orange, the middle in green.

    Args:
        image: uint8 [H, W, 3], RGB.
        keypoints: [K, 2] (x, y) or [K, 3] (x, y, v), pixels; with v, joints of v 0 are left out and those of v 1 are hollow.
        scores: [K], 0..1; joints below `least` are left out.
        size: pixels that lines and dots are a share of [default: the image's shorter side].
    """
    keypoints = np.asarray(keypoints, np.float64)
    flags = keypoints[:, 2] if keypoints.shape[1] > 2 else np.full(len(keypoints), 2)
    shown = (flags > 0) & np.isfinite(keypoints[:, :2]).all(1)
    if scores is not None:
        shown &= np.asarray(scores) >= least
    points = [(round(16 * x), round(16 * y)) if ok else (0, 0) for (x, y), ok in zip(keypoints[:, :2], shown, strict=True)]
    size = max(min(image.shape[:2]) if size is None else size, 1)
    thickness, radius = max(round(size / 130), 1), round(16 * max(size / 85, 1.5))
    drawn, colours = image.copy(), [MIDDLE if side is None else _COLOURS[side] for side in skeleton.sides]
    for a, b in skeleton.edges:
        if shown[a] and shown[b]:
            sides = {colours[a], colours[b]} - {MIDDLE}
            colour = sides.pop() if len(sides) == 1 else MIDDLE
            cv2.line(drawn, points[a], points[b], colour, thickness, cv2.LINE_AA, 4)
    for colour, point, ok, flag in zip(colours, points, shown, flags, strict=True):
        if ok:
            cv2.circle(drawn, point, radius, (255, 255, 255), -1 if flag != 1 else 1, cv2.LINE_AA, 4)
            cv2.circle(drawn, point, radius * 2 // 3, colour, -1 if flag != 1 else 1, cv2.LINE_AA, 4)
    return drawn


def contact_sheet(images: Sequence[np.ndarray], columns: int, gap: int = 4) -> np.ndarray:
    """Images uint8 [H, W, 3], of one size or not, in rows of `columns` on white."""
    height, width = max(image.shape[0] for image in images), max(image.shape[1] for image in images)
    rows = -(-len(images) // columns)
    sheet = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap, 3), 255, np.uint8)
    for index, image in enumerate(images):
        top = gap + (index // columns) * (height + gap)
        left = gap + (index % columns) * (width + gap)
        sheet[top : top + image.shape[0], left : left + image.shape[1]] = image
    return sheet
