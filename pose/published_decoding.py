"""Peaks of heatmaps exactly as the published code finds them, edges and empty maps included: to reproduce published figures.

The decoders of `pose.decode` agree with them but where these are arbitrary: no shift near an edge, steps of any length,
a joint in a corner for an empty map.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

# HRNet (SimpleBaselines, OKDHP); DARK as in TransPose; mmpose's codecs MSRA, DARK and UDP
Published = Literal["hrnet", "transpose_dark", "mmpose_msra", "mmpose_dark", "mmpose_udp"]
METHODS = get_args(Published)
BLURRED = ("transpose_dark", "mmpose_dark", "mmpose_udp")
_LEAST = 1e-10  # of a heatmap whose logarithm DARK takes
_UDP_RANGE = 1e-3, 50.0  # the same of UDP


def peaks(maps: np.ndarray, blurred: np.ndarray, method: Published) -> np.ndarray:
    """Places float64 [N, K, 2] of the peaks, (column, row) of the heatmap.

    Args:
        maps: heatmaps [N, K, H, W]. blurred: the same after `pose.decode.blur`, float32.
    """
    n, k, h, w = maps.shape
    first = maps.reshape(n, k, h * w).argmax(2)
    place = np.stack([first % w, first // w], -1).astype(np.float64)
    empty = maps.max((2, 3)) <= 0
    place[empty] = -1 if method.startswith("mmpose") else 0
    if method == "mmpose_udp":
        return _udp(place, blurred)
    x, y = place[..., 0].astype(int), place[..., 1].astype(int)
    if method in BLURRED:
        return place + _dark(x, y, blurred)
    return place + _quarter(x, y, maps, alike=method == "hrnet")


def in_crop(places: np.ndarray, method: Published, width: int, height: int) -> np.ndarray:
    """Places [N, K, 2] of a heatmap as shares of the crop.

    TransPose puts the middle of its grid on that of the box, with square cells of which `width - 1` are as wide as the box,
    though its labels are drawn on a grid of cells. (Its box is also a pixel of the photo narrower, which is left out here.)
    """
    cells = np.array([width, height], np.float64)
    if method == "transpose_dark":
        return 0.5 + (places - (cells - 1) / 2) * width / (cells * (width - 1))
    return places / (cells - (method == "mmpose_udp"))


def _at(maps: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Values [N, K] of each map at a place, of the nearest cell where that is outside."""
    n, k = np.ogrid[: maps.shape[0], : maps.shape[1]]
    return maps[n, k, y.clip(0, maps.shape[2] - 1), x.clip(0, maps.shape[3] - 1)].astype(np.float64)


def _quarter(x: np.ndarray, y: np.ndarray, maps: np.ndarray, alike: bool) -> np.ndarray:
    """A quarter cell to the higher neighbour; `alike`: near an edge no axis is moved, not just the one across it."""
    h, w = maps.shape[2:]
    inner_x, inner_y = (x > 1) & (x < w - 1), (y > 1) & (y < h - 1)
    moved_x, moved_y = (inner_x & inner_y,) * 2 if alike else (inner_x & (y > 0), inner_y & (x > 0))
    slope_x, slope_y = _at(maps, x + 1, y) - _at(maps, x - 1, y), _at(maps, x, y + 1) - _at(maps, x, y - 1)
    return 0.25 * np.stack([np.sign(slope_x) * moved_x, np.sign(slope_y) * moved_y], -1)


def _dark(x: np.ndarray, y: np.ndarray, blurred: np.ndarray) -> np.ndarray:
    """Newton's step on the logarithm, second differences over four cells; none within two cells of an edge."""
    h, w = blurred.shape[2:]
    log = np.log(np.maximum(blurred, _LEAST))

    def value(right: int, down: int) -> np.ndarray:
        return _at(log, x + right, y + down)

    gradient = np.stack([value(1, 0) - value(-1, 0), value(0, 1) - value(0, -1)], -1) / 2
    dxx = (value(2, 0) - 2 * value(0, 0) + value(-2, 0)) / 4
    dyy = (value(0, 2) - 2 * value(0, 0) + value(0, -2)) / 4
    dxy = (value(1, 1) - value(-1, 1) - value(1, -1) + value(-1, -1)) / 4
    inside = (x > 1) & (x < w - 2) & (y > 1) & (y < h - 2) & (dxx * dyy - dxy**2 != 0)
    return _newton(gradient, dxx, dxy, dyy, inside)


def _newton(gradient: np.ndarray, dxx: np.ndarray, dxy: np.ndarray, dyy: np.ndarray, moved: np.ndarray) -> np.ndarray:
    determinant = np.where(moved, dxx * dyy - dxy**2, 1.0)
    step_x = dxy * gradient[..., 1] - dyy * gradient[..., 0]
    step_y = dxy * gradient[..., 0] - dxx * gradient[..., 1]
    return np.where(moved[..., None], np.stack([step_x, step_y], -1) / determinant[..., None], 0.0)


def _udp(place: np.ndarray, blurred: np.ndarray) -> np.ndarray:
    """Newton's step with differences of neighbours, in maps continued beyond their edges (UDP, Huang et al., CVPR 2020).

    The maps of a person lie one behind the other, so a joint of an empty map, at (-1, -1), takes some of its values from
    the map before, as in the published code.
    """
    n, k, h, w = blurred.shape
    log = np.log(np.clip(blurred, *_UDP_RANGE)).astype(np.float32)
    padded = np.pad(log, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge").reshape(n, -1)
    row = w + 2
    index = (place[..., 0] + 1 + (place[..., 1] + 1) * row + np.arange(k) * row * (h + 2)).astype(int)

    def value(right: int, down: int) -> np.ndarray:
        return np.take_along_axis(padded, index + right + down * row, 1)

    centre = value(0, 0)
    gradient = np.stack([value(1, 0) - value(-1, 0), value(0, 1) - value(0, -1)], -1) / 2
    dxx, dyy = value(1, 0) + value(-1, 0) - 2 * centre, value(0, 1) + value(0, -1) - 2 * centre
    # In this order: beside an empty map the terms cancel, and float32's rounding decides.
    dxy = (value(1, 1) - value(1, 0) - value(0, 1) + 2 * centre - value(-1, 0) - value(0, -1) + value(-1, -1)) / 2
    least = np.finfo(np.float32).eps
    return place + _newton(gradient, dxx + least, dxy, dyy + least, np.ones_like(centre, bool))
