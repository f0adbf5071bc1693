"""What ordinary photos do to people, done to crops: the picture ends, something stands in front, blur, gray."""

from __future__ import annotations

import cv2
import numpy as np

from calib_data.augment import Augmentation

_CUT = (0.05, 0.45)  # of the crop that lies beyond the picture's end
_OCCLUDER = (0.1, 0.35)  # sides of an occluder, as shares of the crop's
_BLUR = (0.25, 0.7)  # size to which a blurred crop is reduced before it is enlarged again


def degrade(rng: np.random.Generator, how: Augmentation, crop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The crop uint8 [H, W, 3] with what `how` draws, and the rectangle (x0, y0, x1, y1), 0..1, that is still picture.

    Occluders are pieces of the same crop. Beyond the picture's end pixels are 0, as in a crop that leaves a photo.
    """
    crop = crop.copy()
    if rng.random() < how.blur:
        height, width = crop.shape[:2]
        share = rng.uniform(*_BLUR)
        small = cv2.resize(crop, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
        crop = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    if rng.random() < how.gray:
        crop = np.repeat(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=-1)
    if rng.random() < how.occlude:
        _occlude(rng, crop)
    return crop, _cut(rng, crop) if rng.random() < how.cut else np.array([0.0, 0.0, 1.0, 1.0])


def _occlude(rng: np.random.Generator, crop: np.ndarray) -> None:
    sides = np.array(crop.shape[:2])
    height, width = (rng.uniform(*_OCCLUDER, 2) * sides).astype(int)
    (top, left), (from_top, from_left) = ((rng.random(2) * (sides - (height, width))).astype(int) for _ in range(2))
    crop[top : top + height, left : left + width] = crop[from_top : from_top + height, from_left : from_left + width].copy()


def _cut(rng: np.random.Generator, crop: np.ndarray) -> np.ndarray:
    """End the picture at one side; the rectangle that is left."""
    side, share = int(rng.integers(4)), rng.uniform(*_CUT)
    left = np.array([0.0, 0.0, 1.0, 1.0])
    left[side] = share if side < 2 else 1 - share
    x0, y0, x1, y1 = (left * np.tile(crop.shape[1::-1], 2)).round().astype(int)
    crop[:y0], crop[y1:], crop[:, :x0], crop[:, x1:] = 0, 0, 0, 0
    return left
