"""A picture that remembers what it shows: shapes go into the image, the label map and, if the person's, the mask."""

from __future__ import annotations

import math
from functools import lru_cache

import cv2
import numpy as np

TEXTURE = 48  # texels of a fabric's side
UPRIGHT = np.array([1.0, -1.0])  # y goes up in camera axes, down in pictures
_SHIFT = 4  # fractional bits of polygon coordinates
_ARC = np.stack([(math.cos(turn), math.sin(turn)) for turn in np.linspace(-np.pi / 2, np.pi / 2, 8)])
_CAPSULE = np.hstack([np.repeat(np.eye(2), 8, 0), np.kron(np.diag((1.0, -1.0)), _ARC)])  # [16, 6]: end, start, both arcs
FIRST_OWN = 2  # labels from here on are parts of the person of interest; 0 is the background, 1 anything else


class Canvas:
    """An image under construction.

    Attributes:
        image: uint8 [H, W, 3], RGB.
        labels: uint8 [H, W]; what is in front at each pixel.
        mask: uint8 [H, W]; 1 wherever the person of interest is, hidden or not.
        light: towards the light in camera axes.
    """

    def __init__(self, image: np.ndarray, light: np.ndarray) -> None:
        self.image = image
        self.labels = np.zeros(image.shape[:2], np.uint8)
        self.mask = np.zeros(image.shape[:2], np.uint8)
        self.light: tuple[float, float, float] = tuple(light.tolist())
        self._scratch = np.zeros(image.shape[:2], np.uint8)

    def fabric(
        self,
        polygon: np.ndarray,
        label: int,
        fabric: np.ndarray,
        start: np.ndarray,
        end: np.ndarray,
        width: float,
        outline: float = 1.0,
        sides: bool = False,
    ) -> None:
        """Fill a convex polygon [n, 2] with a fabric wrapped around a cylinder from `start` to `end`, `width` pixels thick.

        Args:
            label: what the pixels show.
            fabric: float32 [TEXTURE, TEXTURE, 3], 0..255.
            outline: brightness of the contour over that of the fabric; 1 for none.
            sides: the polygon is a `capsule` whose contour leaves out its round ends, where limbs join.
        """
        corners = np.rint(polygon * (1 << _SHIFT)).astype(np.int32)
        left, top, right, bottom = self._extent(corners)
        if left >= right or top >= bottom:
            return
        along_x, along_y, length = _direction(start, end)
        length += width
        columns, rows = min(max(int(width), 4), TEXTURE), min(max(int(length), 4), TEXTURE)
        light_x, light_y, facing = self.light
        across = -(light_x * along_y + light_y * along_x)
        sprite = fabric[:rows, :columns] * _shade(columns, round(4 * across), round(facing, 1))
        start_x, start_y = start.tolist()
        x, y = left - start_x, top - start_y
        wide, tall = columns / width, rows / length  # texels a pixel
        inverse = np.array(
            [
                (-along_y * wide, along_x * wide, (along_x * y - along_y * x) * wide + columns / 2),
                (along_x * tall, along_y * tall, (along_x * x + along_y * y + width / 2) * tall),
            ]
        )
        painted = cv2.warpAffine(
            sprite.astype(np.uint8), inverse, (right - left, bottom - top),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip
        window = slice(top, bottom), slice(left, right)
        scratch = self._scratch[window]
        scratch.fill(0)
        cv2.fillConvexPoly(self._scratch, corners, 1, cv2.LINE_8, _SHIFT)
        cv2.copyTo(painted, scratch, self.image[window])
        if outline != 1.0:
            colour = (fabric[0, 0] * outline).tolist()
            contours = (corners[7:9], corners[[15, 0]]) if sides else (corners,)
            cv2.polylines(self.image, contours, not sides, colour, 1, cv2.LINE_AA, _SHIFT)
        self._mark(corners, label)

    def flat(self, polygon: np.ndarray, label: int | None, colour: np.ndarray) -> None:
        """Fill a convex polygon [n, 2] with one colour; without a label it is a detail of the part below it."""
        corners = np.rint(polygon * (1 << _SHIFT)).astype(np.int32)
        cv2.fillConvexPoly(self.image, corners, colour.tolist(), cv2.LINE_AA, _SHIFT)
        if label is not None:
            self._mark(corners, label)

    def line(self, points: np.ndarray, colour: np.ndarray, thickness: int = 1) -> None:
        """A detail: an open polyline [n, 2]."""
        corners = np.rint(points * (1 << _SHIFT)).astype(np.int32)
        cv2.polylines(self.image, [corners], False, colour.tolist(), thickness, cv2.LINE_AA, _SHIFT)

    def _mark(self, corners: np.ndarray, label: int) -> None:
        cv2.fillConvexPoly(self.labels, corners, label, cv2.LINE_8, _SHIFT)
        if label >= FIRST_OWN:
            cv2.fillConvexPoly(self.mask, corners, 1, cv2.LINE_8, _SHIFT)

    def _extent(self, corners: np.ndarray) -> tuple[int, int, int, int]:
        """Pixels (left, top, right, bottom) of the image that a polygon can touch, the last two excluded."""
        x, y, w, h = cv2.boundingRect(corners)
        height, width = self.image.shape[:2]
        right, bottom = min(((x + w) >> _SHIFT) + 2, width), min(((y + h) >> _SHIFT) + 2, height)
        return max((x >> _SHIFT) - 1, 0), max((y >> _SHIFT) - 1, 0), right, bottom


@lru_cache(maxsize=4096)
def _shade(columns: int, light: int, facing: float) -> np.ndarray:
    """Brightness float32 [columns, 3], at most 1, across a cylinder.

    `light` is the light's part across the cylinder, in quarters; `facing` its part towards the camera.
    """
    across = np.linspace(-0.97, 0.97, columns)
    lit = np.minimum(np.maximum(across * light / 4 + np.sqrt(1 - across**2) * facing, 0), 1)
    return np.repeat((0.4 + 0.6 * lit).astype(np.float32)[:, None], 3, 1)


def _direction(start: np.ndarray, end: np.ndarray) -> tuple[float, float, float]:
    """Unit vector (x, y) and distance; downwards if the points coincide."""
    (start_x, start_y), (end_x, end_y) = start.tolist(), end.tolist()
    x, y = end_x - start_x, end_y - start_y
    length = math.hypot(x, y)
    return (x / length, y / length, length) if length > 1e-6 else (0.0, 1.0, 0.0)


def capsule(start: np.ndarray, end: np.ndarray, start_radius: float, end_radius: float) -> np.ndarray:
    """Outline [16, 2] of two discs and what lies between them; its sides are points 7 to 8 and 15 to 0."""
    x, y, _ = _direction(start, end)
    ax, ay, bx, by = end_radius * x, end_radius * y, start_radius * x, start_radius * y
    return _CAPSULE @ np.array([end.tolist(), start.tolist(), (ax, ay), (-ay, ax), (bx, by), (-by, bx)])


def hull(points: np.ndarray) -> np.ndarray:
    """Convex hull [m, 2] of points [n, 2]."""
    return cv2.convexHull(points.astype(np.float32))[:, 0].astype(np.float64)


def ellipse(centre: np.ndarray, first: np.ndarray, second: np.ndarray, points: int = 16) -> np.ndarray:
    """Outline [points, 2] of an ellipse from its centre and two conjugate half axes."""
    return centre + _circle(points) @ np.array((first, second))


@lru_cache
def _circle(points: int) -> np.ndarray:
    turn = np.linspace(0, 2 * np.pi, points, endpoint=False)
    return np.column_stack([np.cos(turn), np.sin(turn)])
