"""Frames with poses on them: alone, or float beside int8 with the pixels between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.predict.people import apart

if TYPE_CHECKING:
    from pose.poses import Poses

_GAP = 4  # pixels between two pictures


def draw(image: np.ndarray, poses: Poses) -> np.ndarray:
    """The image uint8 [H, W, 3], RGB, with the people on it, and their numbers if they are tracked and several."""
    drawn = poses.draw(image)
    if poses.tracks is not None and (len(poses) > 1 or poses.tracks[:1] > 1):
        for number, box in zip(poses.tracks, poses.boxes, strict=True):
            _write(drawn, str(number), (int(max(box[0], 2)), int(max(box[1], 0))))
    return drawn


def draw_both(image: np.ndarray, named: dict[str, Poses]) -> np.ndarray:
    """Two answers to the same boxes side by side, each under its name; the second also has the distance from the first."""
    (first, second), names = named.values(), list(named)
    distance = ""
    if len(first):
        between = apart(first, second)
        distance = f", {np.median(between):.1f} px apart (median), {between.max():.1f} at most"
    pictures = [poses.draw(image) for poses in (first, second)]
    for picture, text in zip(pictures, (names[0], names[1] + distance), strict=True):
        _write(picture, text, (4, 4))
    gap = np.full((len(image), _GAP, 3), 255, np.uint8)
    return np.concatenate([pictures[0], gap, pictures[1]], axis=1)


def _write(image: np.ndarray, text: str, corner: tuple[int, int]) -> None:
    """Text in white on a dark band, its upper left corner there; smaller where the image is too narrow for it."""
    font, height = cv2.FONT_HERSHEY_SIMPLEX, max(min(image.shape[:2]) / 30, 9.0)
    scale = cv2.getFontScaleFromHeight(font, round(height))
    (width, _), _ = cv2.getTextSize(text, font, scale, 1)
    scale *= min(1.0, (image.shape[1] - 2 * corner[0]) / max(width, 1))
    thickness = max(1, round(height / 14))
    (width, tall), base = cv2.getTextSize(text, font, scale, thickness)
    x, y = corner
    cv2.rectangle(image, (x, y), (x + width + 4, y + tall + base + 4), (32, 32, 32), -1)
    cv2.putText(image, text, (x + 2, y + tall + 2), font, scale, (255, 255, 255), thickness, cv2.LINE_AA)


def fit(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """The image scaled into a frame of that size, black beside it: a video has one size, its frames may have several."""
    if image.shape[:2] == (height, width):
        return image
    scale = min(width / image.shape[1], height / image.shape[0])
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    frame = np.zeros((height, width, 3), np.uint8)
    left, top = (width - size[0]) // 2, (height - size[1]) // 2
    frame[top : top + size[1], left : left + size[0]] = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return frame
