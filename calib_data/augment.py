"""Augmentation of training crops: the paper's flip, half body, rotation and scale; for photos also shift and light."""

from __future__ import annotations

from typing import Annotated

import cv2
import numpy as np
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from pose.crop import CropSpec, affine
from pose.skeleton import Skeleton

_HALF_BODY_GROWTH = 1.5  # side of the crop over that of the half's joints, as in HRNet's training


_Share = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class Augmentation:
    """How training crops vary; the defaults are the paper's (section 4.1).

    Attributes:
        flip, half_body: probability of each. A half body needs more than `half_body_joints` labelled joints, and a skeleton
            whose joints are those of a human body (`Skeleton.upper_body`): of others the whole body is shown.
        rotation: degrees, uniform in +-.
        scale: uniform in 1 +-.
        shift: of the centre, uniform in +-, as a share of the box.
        light: contrast uniform in 1 +-, brightness uniform in +- of half the pixel range.
        cut, occlude, blur, gray: probability of each, see `calib_data.degrade`.
    """

    flip: _Share = 0.5
    half_body: _Share = 0.3
    half_body_joints: Annotated[int, Field(ge=0, le=1000)] = 8
    rotation: Annotated[float, Field(ge=0, le=180)] = 45.0
    scale: Annotated[float, Field(ge=0, lt=1)] = 0.35
    shift: Annotated[float, Field(ge=0, le=10)] = 0.0
    light: _Share = 0.0
    cut: _Share = 0.0
    occlude: _Share = 0.0
    blur: _Share = 0.0
    gray: _Share = 0.0


def draw_affine(
    rng: np.random.Generator, how: Augmentation, box: np.ndarray, keypoints: np.ndarray, skeleton: Skeleton, spec: CropSpec
) -> tuple[np.ndarray, bool]:
    """A random matrix [2, 3] from image pixels to crop pixels, and whether it mirrors."""
    turn, grow, side = rng.uniform(-1, 1), rng.uniform(-1, 1), rng.uniform(-1, 1, 2)
    flip = bool(rng.random() < how.flip)
    labelled = keypoints[:, 2] > 0
    if rng.random() < how.half_body and labelled.sum() > how.half_body_joints:
        box = _half_body(rng, box, keypoints, labelled, skeleton, spec)
    x, y, w, h = box
    box = np.array([x + how.shift * side[0] * w, y + how.shift * side[1] * h, w, h])
    return affine(box, spec, scale=1 + how.scale * grow, rotation=how.rotation * turn, flip=flip), flip


def _half_body(
    rng: np.random.Generator,
    box: np.ndarray,
    keypoints: np.ndarray,
    labelled: np.ndarray,
    skeleton: Skeleton,
    spec: CropSpec,
) -> np.ndarray:
    """A box about the upper or the lower half of the labelled joints, at random; about the other where it has too few."""
    upper = skeleton.upper_body
    if upper is None:
        return box
    halves = [keypoints[labelled & half, :2] for half in (upper, ~upper)]
    chosen = int(rng.random() < 0.5)
    points = halves[chosen] if len(halves[chosen]) > 2 else halves[1 - chosen]
    if len(points) <= 2:
        return box
    centre, size = points.mean(0), np.ptp(points, axis=0) * (_HALF_BODY_GROWTH / spec.padding)
    return box if size.min() <= 0 else np.concatenate([centre - size / 2, size])


def relight(rng: np.random.Generator, how: Augmentation, crop: np.ndarray) -> np.ndarray:
    """The crop with another contrast, brightness and colour balance."""
    if how.light == 0:
        return crop
    gain = (1 + how.light * rng.uniform(-1, 1)) * (1 + how.light / 3 * rng.uniform(-1, 1, 3))
    offset = 128 - 128 * gain + 128 * how.light * rng.uniform(-1, 1)
    table = np.clip(np.arange(256)[:, None] * gain + offset, 0, 255).astype(np.uint8)
    return cv2.LUT(crop, table[:, None, :])
