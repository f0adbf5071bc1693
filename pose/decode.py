"""Heatmaps -> keypoints, in numpy. Regression networks need none of this.

Every decoder finds the peak as an index (u, v) of the heatmap; a `HeatmapGrid` says where in the crop that index lies, which
depends on how the network was trained. Those trained on the coordinates of `pose.crop` have the default.
"""

from __future__ import annotations

from typing import Literal, cast

import cv2
import numpy as np

from pose import published_decoding
from pose.errors import BackendError, InputError
from pose.heatmaps import HeatmapGrid

Method = Literal["argmax", "quarter", "dark", "soft_argmax", published_decoding.Published]
METHODS = ("argmax", "quarter", "dark", "soft_argmax", *published_decoding.METHODS)
KERNEL = 11  # in cells, of DARK and UDP as published at 256x192


def blur(heatmaps: np.ndarray, kernel: int) -> np.ndarray:
    """Each heatmap float32 [N, K, H, W] smoothed with a Gaussian of `kernel` cells (odd), its maximum kept.

    Cells outside count as 0. The standard deviation is OpenCV's for that kernel, 0.15 kernel + 0.35: 2 cells for 11.
    """
    maps = heatmaps.reshape(-1, *heatmaps.shape[2:])
    blurred = [cv2.GaussianBlur(one, (kernel, kernel), 0, borderType=cv2.BORDER_CONSTANT) for one in maps]
    smooth = np.array(blurred, np.float32).reshape(heatmaps.shape)
    highest, now = heatmaps.max((2, 3), keepdims=True), smooth.max((2, 3), keepdims=True)
    return np.where(now > 0, smooth * (highest / np.where(now > 0, now, 1)), smooth)


def decode(
    heatmaps: np.ndarray,
    method: Method = "quarter",
    *,
    kernel: int = 0,
    window: int = 7,
    grid: HeatmapGrid = HeatmapGrid(),
) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates float32 [N, K, 2], (x, y) in 0..1 of the crop, and scores float32 [N, K] of heatmaps [N, K, H, W].

    Args:
        method: `argmax`: the highest cell. `quarter`: that, moved a quarter cell to the higher neighbour on each axis
            (HRNet, TokenPose). `dark`: the maximum of the Gaussian through the peak (Zhang et al., CVPR 2020, eq. 9).
            `soft_argmax`: centre of mass of the `window` x `window` cells about the peak. Others: exactly as published, with
            a kernel and a grid of their own; see `pose.published_decoding`.
        kernel: the heatmaps are blurred first, see `blur`; 0 leaves them. DARK as published has 11.
        window: odd, `soft_argmax` only.
        grid: where the cells lie in the crop.

    The score is the highest value of the heatmap before any blur, whatever its sign; of several cells with that value the
    first one counts.
    """
    heatmaps = np.asarray(heatmaps, np.float32)
    scores = heatmaps.max((2, 3))
    if method in published_decoding.METHODS:
        smooth = blur(heatmaps, KERNEL) if method in published_decoding.BLURRED else heatmaps
        published = cast(published_decoding.Published, method)
        places = published_decoding.peaks(heatmaps, smooth, published)
        return published_decoding.in_crop(places, published, *heatmaps.shape[:1:-1]).astype(np.float32), scores
    maps = blur(heatmaps, kernel) if kernel else heatmaps
    n, k, h, w = maps.shape
    peak = maps.reshape(n, k, h * w).argmax(2)
    x, y = peak % w, peak // w
    shift = {"argmax": _none, "quarter": _quarter, "dark": _dark, "soft_argmax": _mass}[method](maps, x, y, window)
    index = np.stack([x, y], -1) + shift
    return ((index + grid.offset) / grid.steps(w, h)).astype(np.float32), scores


def require_grid(method: Method, grid: HeatmapGrid, where: str) -> None:
    """Raises InputError where a method as published, which has a grid of its own, would read heatmaps of another grid.

    Args:
        where: whose heatmaps they are.
    """
    is_own = grid == HeatmapGrid() or (method == "mmpose_udp" and grid.corners is not None)
    if method in published_decoding.METHODS and not is_own:
        described = "corners" if grid.corners is not None else f"cells with an offset of {grid.offset:g}"
        raise InputError(
            f"{where}: {method} decodes a grid of its own, as published, and these heatmaps are of a grid of {described}; "
            "correct `grid` and `offset` of the heatmaps, or decode with dark or quarter"
        )


def assign_queries(coords: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates [N, K, 2] and scores [N, K] of a network of queries (PRTR): one query a joint, the most probable choice.

    The Hungarian algorithm maximises the sum of the probabilities; no query stands for two joints. Predictions of joints
    themselves are returned as they are.

    Args:
        coords: [N, Q, 2]; scores: [N, Q, K] in 0..1, finite, Q >= K.

    Raises:
        BackendError: scipy is not installed.
    """
    if scores.ndim == 2:
        return coords, scores
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError as error:
        raise BackendError("a network of queries needs scipy; pip install 'distilpose-edge[detector]'") from error

    queries = np.stack([linear_sum_assignment(-one.T.astype(np.float64))[1] for one in scores])
    own = np.take_along_axis(scores, queries[..., None], 1)
    return np.take_along_axis(coords, queries[..., None], 1), np.diagonal(own, axis1=1, axis2=2).copy()


def _around(maps: np.ndarray, x: np.ndarray, y: np.ndarray, radius: int, outside: float) -> np.ndarray:
    """The cells about each peak, float64 [N, K, 2r+1, 2r+1]; those beyond the edge hold `outside`."""
    padded = np.pad(maps, ((0, 0), (0, 0), (radius, radius), (radius, radius)), constant_values=outside)
    reach = np.arange(2 * radius + 1)
    n, k = np.ogrid[: maps.shape[0], : maps.shape[1]]
    rows, columns = y[..., None, None] + reach[:, None], x[..., None, None] + reach
    return padded[n[..., None, None], k[..., None, None], rows, columns].astype(np.float64)


def _none(maps: np.ndarray, x: np.ndarray, y: np.ndarray, window: int) -> np.ndarray:
    return np.zeros((*x.shape, 2))


def _quarter(maps: np.ndarray, x: np.ndarray, y: np.ndarray, window: int) -> np.ndarray:
    near = _around(maps, x, y, 1, np.nan)
    slope = np.stack([near[..., 1, 2] - near[..., 1, 0], near[..., 2, 1] - near[..., 0, 1]], -1)
    return 0.25 * np.sign(np.nan_to_num(slope))  # a peak on the edge has one neighbour only: no shift on that axis


def _dark(maps: np.ndarray, x: np.ndarray, y: np.ndarray, window: int) -> np.ndarray:
    """Newton's step -H^-1 g on the logarithm of the heatmap, by central differences; none within two cells of the edge."""
    p = np.log(np.maximum(_around(maps, x, y, 2, np.nan), 1e-10))
    dx, dy = (p[..., 2, 3] - p[..., 2, 1]) / 2, (p[..., 3, 2] - p[..., 1, 2]) / 2
    dxx = (p[..., 2, 4] - 2 * p[..., 2, 2] + p[..., 2, 0]) / 4
    dyy = (p[..., 4, 2] - 2 * p[..., 2, 2] + p[..., 0, 2]) / 4
    dxy = (p[..., 3, 3] - p[..., 1, 3] - p[..., 3, 1] + p[..., 1, 1]) / 4
    determinant = dxx * dyy - dxy * dxy
    solvable = np.nan_to_num(determinant) > 1e-12
    safe = np.where(solvable, determinant, 1)
    step = np.stack([dxy * dy - dyy * dx, dxy * dx - dxx * dy], -1) / safe[..., None]
    # The published code takes any step. A long one means that the surface about the peak is no Gaussian: keep the cell.
    good = solvable & (np.abs(np.nan_to_num(step)).max(-1) <= 2)
    return np.where(good[..., None], step, 0)


def _mass(maps: np.ndarray, x: np.ndarray, y: np.ndarray, window: int) -> np.ndarray:
    radius = window // 2
    weight = np.maximum(_around(maps, x, y, radius, 0.0), 0)
    total = weight.sum((2, 3))
    reach = np.arange(-radius, radius + 1)
    centre = np.stack([(weight * reach).sum((2, 3)), (weight * reach[:, None]).sum((2, 3))], -1)
    return np.where(total[..., None] > 0, centre / np.where(total > 0, total, 1)[..., None], 0)
