from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pose.decode import METHODS, Method, blur, decode
from pose.heatmaps import HeatmapGrid

H, W = 24, 18


def gaussian(x: float, y: float, sigma: float = 2.0, peak: float = 1.0) -> np.ndarray:
    """One heatmap [1, 1, H, W]."""
    v, u = np.mgrid[:H, :W]
    return (peak * np.exp(-((u - x) ** 2 + (v - y) ** 2) / (2 * sigma**2)))[None, None].astype(np.float32)


def test_golden() -> None:
    maps = np.zeros((1, 2, 4, 8), np.float32)
    maps[0, 0, 2, 5] = 0.9
    maps[0, 0, 2, 6] = 0.4  # the right neighbour is higher
    maps[0, 0, 1, 5] = 0.3  # so is the upper one
    maps[0, 1, 0, 0] = 0.5  # in the corner: nowhere to move
    coords, scores = decode(maps, "argmax")
    assert np.allclose(coords, np.array([[[5 / 8, 2 / 4], [0, 0]]]))
    assert np.allclose(scores, [[0.9, 0.5]])
    assert np.allclose(decode(maps, "quarter")[0], [[[5.25 / 8, 1.75 / 4], [0.0, 0.0]]])
    assert np.allclose(decode(maps, "quarter", grid=HeatmapGrid(0.5))[0], [[[5.75 / 8, 2.25 / 4], [0.5 / 8, 0.5 / 4]]])
    mass = (5 * 0.9 + 6 * 0.4 + 5 * 0.3) / 1.6, (2 * 0.9 + 2 * 0.4 + 1 * 0.3) / 1.6
    assert np.allclose(decode(maps, "soft_argmax", window=3)[0][0, 0], [mass[0] / 8, mass[1] / 4])


@pytest.mark.parametrize("method", ["argmax", "dark"])
@pytest.mark.parametrize(("crop", "cells"), [(192, 48), (257, 9), (256, 64)])
def test_a_grid_of_corners(method: Method, crop: int, cells: int) -> None:
    """Its first and last index lie on the first and last pixel: 257 pixels and 9 cells are 32 pixels apart, not 28.6."""
    stride, sigma = (crop - 1) / (cells - 1), 1.2
    index = np.array([cells // 2, 3.0 if method == "argmax" else 3.3])  # DARK finds what lies between the cells
    rows, columns = np.mgrid[:cells, :cells]
    maps = np.exp(-((columns - index[0]) ** 2 + (rows - index[1]) ** 2) / (2 * sigma**2)).astype(np.float32)[None, None]
    coords, _ = decode(maps, method, grid=HeatmapGrid(corners=(crop, crop)))
    assert np.abs(coords[0, 0] * crop - index * stride).max() < 0.05  # pixels of the crop
    as_cells, _ = decode(maps, method)
    assert np.abs(as_cells[0, 0] * crop - index * stride).max() > 0.5


places = st.tuples(st.floats(5, W - 6), st.floats(5, H - 6))


@given(places, st.floats(1.0, 3.0), st.floats(0.1, 2.0))
def test_dark_finds_a_gaussian_between_cells(place: tuple[float, float], sigma: float, peak: float) -> None:
    maps = gaussian(*place, sigma, peak)
    coords, _ = decode(maps, "dark")
    assert (
        np.abs(coords[0, 0] * (W, H) - place).max() < 0.01
    )  # cells; exact in theory, the logarithm of a Gaussian is quadratic
    smooth, scores = decode(maps, "dark", kernel=5)
    assert np.abs(smooth[0, 0] * (W, H) - place).max() < 0.1
    assert scores[0, 0] == maps.max()


@given(places)
def test_the_better_the_decoder_the_nearer(place: tuple[float, float]) -> None:
    maps = gaussian(*place)
    error = {
        m: np.abs(decode(maps, m)[0][0, 0] * (W, H) - place).max() for m in ("argmax", "quarter", "soft_argmax", "dark")
    }
    assert error["argmax"] <= 0.5 + 1e-5
    assert error["quarter"] <= 0.25 + 1e-5
    assert error["dark"] <= min(error["argmax"], error["quarter"], error["soft_argmax"]) + 0.01


@pytest.mark.parametrize("method", ["argmax", "quarter", "dark", "soft_argmax"])
def test_any_heatmap_gives_a_finite_point_near_its_peak(method: Method) -> None:
    random = np.random.default_rng(0)
    noise = random.normal(size=(20, 5, H, W)).astype(np.float32)
    flat, negative = np.zeros((1, 5, H, W), np.float32), np.full((1, 5, H, W), -2, np.float32)
    maps = np.concatenate([noise, flat, negative])
    coords, scores = decode(maps, method, kernel=3)
    assert np.isfinite(coords).all()
    assert np.array_equal(scores, maps.max((2, 3)))
    peaks, _ = decode(maps, "argmax", kernel=3)
    assert (np.abs(coords - peaks) * (W, H)).max() <= 3  # half of the window; DARK's longest step is 2


@pytest.mark.parametrize("method", METHODS)
def test_maps_that_lie_channels_last_are_decoded_alike(method: Method) -> None:
    """A convolution of torch may answer in that order."""
    maps = np.random.default_rng(0).random((2, 5, H, W), np.float32)
    channels_last = np.ascontiguousarray(maps.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    assert channels_last.strides != maps.strides
    for kernel in (0, 11):
        for value, other in zip(
            decode(maps, method, kernel=kernel), decode(channels_last, method, kernel=kernel), strict=True
        ):
            assert np.array_equal(value, other)


def test_blur_keeps_the_peak() -> None:
    maps = np.random.default_rng(1).random((3, 2, H, W)).astype(np.float32)
    smooth = blur(maps, 11)
    assert np.allclose(smooth.max((2, 3)), maps.max((2, 3)))
    assert smooth.std() < 0.7 * maps.std()
