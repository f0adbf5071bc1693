"""What heatmaps are before they are cached, decoded or distilled: of one person, from 0 to 1, on a known grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from pose.errors import InputError

Activation = Literal["none", "sigmoid"]
GridKind = Literal["cells", "corners"]

# Heatmaps that a network regresses leave 0..1 a little (published ones were measured at -0.04 to 0.97), logits by far.
LOWEST, HIGHEST = -0.5, 1.5
SURE = 0.3  # a joint whose map is at least that in half of the crop has no place
_NEAR = 0.1  # of the crop's longer side: how far a joint's heat may lie from the keypoint that the network itself chose


@dataclass(frozen=True)
class HeatmapGrid:
    """Where heatmap index u of n cells lies in the crop, whose coordinates run from 0 to 1, and the same for rows.

    Attributes:
        offset: index u lies at (u + offset) / n.
        corners: (width, height) of the crop in pixels for a grid that reaches from the centre of its first pixel to that of
            its last one (UDP, PoseNet): index u lies on pixel u * (width - 1) / (n - 1). None for a grid of cells.
    """

    offset: float = 0.0
    corners: tuple[int, int] | None = None

    def steps(self, width: int, height: int) -> np.ndarray:
        """Steps of the heatmap's index across the crop, float64 [2]: index u lies at (u + offset) / steps.

        Args:
            width, height: cells of the heatmap, at least 2 in a grid of corners.
        """
        cells = np.array([width, height], np.float64)
        if self.corners is None:
            return cells
        crop = np.array(self.corners, np.float64)
        return (cells - 1) * crop / (crop - 1)


def activate(values: np.ndarray, activation: Activation) -> np.ndarray:
    """Values float32 of any shape, logits turned into 0..1 where `activation` is `sigmoid`."""
    if activation == "none":
        return values
    return (0.5 * (1 + np.tanh(0.5 * values))).astype(np.float32)  # the sigmoid, which overflows nowhere in this form


def fuse_flip(heatmaps: np.ndarray, mirrored: np.ndarray, flip: np.ndarray, grid: HeatmapGrid = HeatmapGrid()) -> np.ndarray:
    """The mean of heatmaps [N, K, h, w] for crops and of those for their mirror images.

    In a grid of cells these are one cell off (HRNet); in one of corners they are not, as both have the same middle.

    Args:
        mirrored: for the crops mirrored left to right. flip: for each joint, the index of its mirror image.
    """
    upright = mirrored[:, flip, :, ::-1].copy()
    if grid.corners is None:
        upright[..., 1:] = upright[..., :-1].copy()
    return (heatmaps + upright) / 2


def gate(heatmaps: np.ndarray, coords: np.ndarray, grid: HeatmapGrid) -> np.ndarray:
    """Heatmaps float32 [N, K, h, w] of everybody in the crop, reduced to the person whose keypoints are `coords`.

    Heat counts fully at the keypoint, by a third at a tenth of the crop's longer side, and not at all from two tenths on.
    A Gaussian would narrow the heat about the keypoint itself; this falls as exp(-d^4).

    Args:
        coords: [N, K, 2] in 0..1 of the crop.
    """
    height, width = heatmaps.shape[-2:]
    steps = grid.steps(width, height)
    keypoints = coords * steps - grid.offset
    reach = _NEAR * steps.max()
    columns, rows = (
        ((np.arange(count) - keypoints[..., axis, None]) / reach) ** 2 for axis, count in enumerate((width, height))
    )
    square = rows[..., :, None] + columns[..., None, :]
    near = np.where(square < 4, np.exp(-(np.minimum(square, 4) ** 2)), 0)
    return (heatmaps * near).astype(np.float32)


_FIX = "correct `activation` (logits need sigmoid), `scale` or `zero_point` in its YAML"


def require_heatmaps(heatmaps: np.ndarray, joints: tuple[str, ...], where: str, fix: str = _FIX) -> None:
    """Refuse values that are no heatmaps, such as logits or integers of another scale.

    Args:
        heatmaps: [N, K, h, w].
        joints: their K names. where: who predicted them. fix: how to correct them, for the message.

    Raises:
        InputError: values far outside 0..1, or joints that are 'sure' in half of the crop.
    """
    low, high = float(heatmaps.min()), float(heatmaps.max())
    if low < LOWEST or high > HIGHEST:
        raise InputError(f"{where}: its heatmaps reach from {low:.3g} to {high:.3g}, not from 0 to about 1; {fix}")
    everywhere = np.median(heatmaps, axis=(0, 2, 3)) >= SURE
    if everywhere.any():
        first = joints[int(everywhere.argmax())]
        raise InputError(
            f"{where}: {int(everywhere.sum())} of {len(joints)} joints are sure (at least {SURE:g}) in half of the crop, "
            f"'{first}' first: these are no heatmaps; {fix}"
        )


def require_keypoints(coords: np.ndarray, scores: np.ndarray, where: str) -> None:
    """Refuse a network's own keypoints [N, K, 2] and scores [N, K] that are not in 0..1 of the crop.

    Raises:
        InputError: pixels for coordinates, or logits for scores.
    """
    if np.median(np.abs(coords - 0.5)) > 1:  # of all joints: one that is lost may lie anywhere
        raise InputError(
            f"{where}: its own keypoints reach to {np.abs(coords).max():.3g}; they must be in 0..1 of the crop, not pixels"
        )
    if scores.min() < LOWEST or scores.max() > HIGHEST:
        raise InputError(
            f"{where}: the scores of its own keypoints reach from {scores.min():.3g} to {scores.max():.3g}, not from 0 to "
            "1; leave `keypoints` out of its YAML"
        )
