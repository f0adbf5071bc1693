"""Box -> affine -> crop, and back: the one pre-processing of training, calibration, evaluation and demo.

Coordinates are those of HRNet and TokenPose, so that published checkpoints see what they were trained on: a pixel's centre
is at its integer index, a box edge at x0 lands on crop index 0, and a *normalised* coordinate is crop index / crop size
(0..1 across the crop). A heatmap of the crop has its own index = normalised * heatmap size. Nothing adds half a pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np

IMAGENET_MEAN = (0.485 * 255, 0.456 * 255, 0.406 * 255)
IMAGENET_STD = (0.229 * 255, 0.224 * 255, 0.225 * 255)


@dataclass(frozen=True)
class CropSpec:
    """The crop of a person that a network takes.

    Attributes:
        width, height: pixels of the crop.
        mean, std: RGB, in 0..255; the network's input is (pixel - mean) / std.
        padding: the crop's side over that of the box, after the box has got the crop's aspect ratio.
        colour: order of the channels of the network's input; mean and std are in the order R, G, B for either.
    """

    width: int = 192
    height: int = 256
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    padding: float = 1.25
    colour: Literal["RGB", "BGR"] = "RGB"

    @property
    def size(self) -> np.ndarray:
        """(width, height) as float64 [2]."""
        return np.array([self.width, self.height], np.float64)

    def in_channel_order(self, rgb: np.ndarray | Sequence[float]) -> np.ndarray:
        """Pixels [..., 3], or three numbers, given in the order R, G, B -> in the order of the network's channels."""
        values = np.asarray(rgb)
        return values[..., ::-1] if self.colour == "BGR" else values


def require_pixels(mean: Sequence[float], std: Sequence[float]) -> None:
    """Raises ValueError for the mean and std of pixels in 0..1, as torchvision writes them: here pixels are 0..255."""
    if max(std) < 1 and max(map(abs, mean)) <= 1:
        raise ValueError("mean and std look like those of pixels in 0..1, and pixels are 0..255: multiply both by 255")


# SimpleBaselines, OKDHP and PRTR apply ImageNet's statistics in the order R, G, B to channels in the order B, G, R.
BGR = CropSpec(mean=IMAGENET_MEAN[::-1], std=IMAGENET_STD[::-1], colour="BGR")


def affine(box: np.ndarray, spec: CropSpec, *, scale: float = 1.0, rotation: float = 0.0, flip: bool = False) -> np.ndarray:
    """Matrix float64 [2, 3] that takes image pixels to crop pixels.

    Args:
        box: (x, y, width, height) in image pixels; it is grown to the aspect ratio of the crop, then by `spec.padding`.
        scale: further growth of the region; above 1 the person gets smaller.
        rotation: degrees by which the person turns clockwise in the crop.
        flip: mirror left and right.
    """
    x, y, w, h = np.asarray(box, np.float64)
    pixels = spec.padding * scale * max(w / spec.width, h / spec.height)  # image pixels per crop pixel
    turn = np.deg2rad(rotation)
    linear = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) / pixels
    if flip:
        linear[0] = -linear[0]
    centre = np.array([x + w / 2, y + h / 2])
    return np.column_stack([linear, spec.size / 2 - linear @ centre])


def warp(image: np.ndarray, matrix: np.ndarray, spec: CropSpec) -> np.ndarray:
    """Crop uint8 [H, W, 3] of an image [h, w, 3], bilinear, black outside the image."""
    return cv2.warpAffine(image, matrix, (spec.width, spec.height), flags=cv2.INTER_LINEAR)


def normalise(crop: np.ndarray, spec: CropSpec) -> np.ndarray:
    """Network input float32 [3, H, W] of an RGB crop uint8 [H, W, 3]: (pixel - mean) / std, looked up in a table."""
    planes = np.empty((3, *crop.shape[:2]), np.float32)
    ordered = planes[::-1] if spec.colour == "BGR" else planes
    for pixels, table, plane in zip(cv2.split(crop), _tables(spec.mean, spec.std), ordered, strict=True):
        cv2.LUT(pixels, table, plane)
    return planes


@lru_cache
def _tables(mean: tuple[float, ...], std: tuple[float, ...]) -> np.ndarray:
    """The network input of every byte, float32 [3, 256]."""
    means, stds = (np.array(values, np.float32)[:, None] for values in (mean, std))
    return (np.arange(256, dtype=np.float32) - means) / stds


def transform(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Points [..., 2] through a 2x3 affine matrix."""
    return points @ matrix[:, :2].T + matrix[:, 2]


def invert(matrix: np.ndarray) -> np.ndarray:
    """The inverse of a 2x3 affine matrix."""
    return cv2.invertAffineTransform(np.asarray(matrix, np.float64))


def to_normalised(points: np.ndarray, matrix: np.ndarray, spec: CropSpec) -> np.ndarray:
    """Image pixels [..., 2] as 0..1 of the crop."""
    return transform(points, matrix) / spec.size


def to_image(coords: np.ndarray, matrix: np.ndarray, spec: CropSpec) -> np.ndarray:
    """0..1 of the crop [..., 2] as image pixels: the inverse of `to_normalised`."""
    return transform(coords * spec.size, invert(matrix))
