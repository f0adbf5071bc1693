"""Crops of a data source as a network sees them, with labels in 0..1 of the crop and the affine that cut them."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np

from calib_data.augment import Augmentation, draw_affine, relight
from calib_data.degrade import degrade
from calib_data.sample import PoseSource
from pose.crop import CropSpec, affine, to_normalised, warp
from pose.skeleton import Skeleton


@dataclass(frozen=True)
class Crop:
    """One person as a network sees them, with the labels of that view.

    Attributes:
        pixels: uint8 `[H, W, 3]`, RGB.
        coords: float32 `[K, 2]`, (x, y) in 0..1 of the crop.
        weight: float32 `[K]`, 1 where the joint is labelled and inside the crop's picture, less where a label is less sure
            (v below 1), else 0.
        matrix: float64 `[2, 3]`, image pixels to crop pixels.
        flipped: the picture is mirrored, and left and right are exchanged in the labels.
    """

    pixels: np.ndarray
    coords: np.ndarray
    weight: np.ndarray
    matrix: np.ndarray
    flipped: bool


class Crops:
    """A crop of every person of `source`, with labels in the joints of `skeleton`.

    Args:
        augmentation: None for the plain crop, on which networks are evaluated.
        labels: keypoints float `[len(source), K, 3]` in image pixels and the joints of `skeleton`, in place of the source's
            own: those completed by a teacher, for example.
    """

    def __init__(
        self,
        source: PoseSource,
        spec: CropSpec,
        skeleton: Skeleton,
        augmentation: Augmentation | None = None,
        seed: int = 0,
        labels: np.ndarray | None = None,
    ) -> None:
        self.source, self.spec, self.skeleton = source, spec, skeleton
        self.augmentation, self.seed, self.labels = augmentation, seed, labels

    def __len__(self) -> int:
        return len(self.source)

    def at(self, spec: CropSpec) -> Crops:
        """The same people and draws, cut by another specification."""
        crops = copy.copy(self)
        crops.spec = spec
        return crops

    def get(self, index: int, epoch: int = 0) -> Crop:
        """The crop of person `index`; it depends on seed, epoch and index alone."""
        annotation, image = self.source.labels(index), self.source.image(index)
        own = self.source.skeleton.convert(annotation.keypoints, self.skeleton)
        keypoints = own if self.labels is None else self.labels[index]
        shown = np.array([0.0, 0.0, 1.0, 1.0])
        if self.augmentation is None:
            matrix, flipped = affine(annotation.box, self.spec), False
            pixels = warp(image, matrix, self.spec)
        else:
            rng = np.random.default_rng((self.seed, epoch, index))
            matrix, flipped = draw_affine(rng, self.augmentation, annotation.box, keypoints, self.skeleton, self.spec)
            pixels, shown = degrade(rng, self.augmentation, warp(image, matrix, self.spec))
            pixels = relight(rng, self.augmentation, pixels)
        if flipped:
            keypoints = keypoints[self.skeleton.flip]
        coords = to_normalised(keypoints[:, :2], matrix, self.spec)
        inside = ((coords >= shown[:2]) & (coords <= shown[2:])).all(-1)
        weight = np.clip(keypoints[:, 2], 0, 1) * inside
        coords = np.where(weight[:, None] > 0, coords, 0)
        return Crop(pixels, coords.astype(np.float32), weight.astype(np.float32), matrix, flipped)
