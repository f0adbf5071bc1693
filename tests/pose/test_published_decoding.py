"""Decoding exactly as published: against vectors of the public implementations, and in cases written out here."""

from __future__ import annotations

import numpy as np
import pytest
from parity_vectors import SYSTEMS, needed

from pose.decode import decode
from pose.heatmaps import fuse_flip
from pose.published_decoding import METHODS, Published
from pose.skeleton import COCO_17

H, W = 64, 48


def bump(x: float, y: float) -> np.ndarray:
    """A Gaussian of two cells, [1, 1, H, W]."""
    rows, columns = np.mgrid[:H, :W]
    return np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 8)[None, None].astype(np.float32)


def vectors() -> dict[str, np.ndarray]:
    return dict(np.load(SYSTEMS / "decode.npz"))


@needed
@pytest.mark.parametrize(
    ("method", "key", "sides"),
    [
        ("hrnet", "hrnet_heatmap_coords", (W, H)),
        ("transpose_dark", "dark_heatmap_coords", (W, H)),
        ("mmpose_msra", "mmpose_msra_input_coords", (192, 256)),
        ("mmpose_dark", "mmpose_dark_input_coords", (192, 256)),
        ("mmpose_udp", "mmpose_udp_input_coords", (192, 256)),
    ],
)
def test_vectors(method: Published, key: str, sides: tuple[int, int]) -> None:
    """Peaks in corners and on edges, and an empty map, are among them."""
    arrays = vectors()
    coords, scores = decode(arrays["heatmaps"], method)
    assert np.abs(coords * sides - arrays[key]).max() <= 1e-4 * np.abs(arrays[key]).max()
    assert np.array_equal(scores, arrays["max_value"][..., 0])
    assert np.array_equal(scores, arrays["mmpose_dark_scores"])


@needed
def test_flip_vectors() -> None:
    arrays = vectors()
    upright, mirrored = arrays["heatmaps"].astype(np.float32)[:, None]
    fused = fuse_flip(upright, mirrored, COCO_17.flip)
    assert np.abs(fused[:, :, ::4, ::4] - arrays["flip_fused_shift"]).max() <= 1e-4
    highest = fused.reshape(17, -1).argmax(1)
    places = np.stack([highest % W, highest // W], -1) * (fused.max((2, 3)) > 0)[0][:, None]
    assert np.array_equal(places, arrays["flip_fused_shift_argmax"][0])


@pytest.mark.parametrize("method", METHODS)
def test_a_peak_inside(method: Published) -> None:
    x, y = 20.25, 30.75
    coords, _ = decode(bump(x, y), method)
    sides = (W - 1, H - 1) if method == "mmpose_udp" else (W, H)
    assert np.abs(coords[0, 0] * sides - (x, y)).max() < (0.01 if "dark" in method or "udp" in method else 0.3)


@pytest.mark.parametrize(("method", "place"), [("hrnet", (1, 30)), ("mmpose_msra", (1, 30.25)), ("transpose_dark", (1, 30))])
def test_beside_an_edge(method: Published, place: tuple[float, float]) -> None:
    """HRNet moves neither axis there, mmpose the one along the edge."""
    coords, _ = decode(bump(1.2, 30.2), method)
    assert np.allclose(coords[0, 0] * (W, H), place)


def test_an_empty_map_has_its_joint_in_a_corner() -> None:
    maps = bump(20, 30) - 2
    assert np.allclose(decode(maps, "hrnet")[0], 0)
    assert np.allclose(decode(maps, "mmpose_dark")[0] * (W, H), -1)
    assert np.allclose(decode(maps, "quarter")[0] * (W, H), (20, 30), atol=0.3)


def test_a_mirrored_map_is_moved_by_a_cell() -> None:
    """A joint at column 20 is at 28 of the mirrored map, as pixels are mirrored about the middle of cells 0 and 48."""
    left, right = bump(20, 30), bump(9, 12)
    upright = np.concatenate([left, right], 1)
    mirrored = np.concatenate([bump(W - 9, 12), bump(W - 20, 30)], 1)
    assert np.allclose(fuse_flip(upright, mirrored, np.array([1, 0]))[..., 1:], upright[..., 1:], atol=1e-6)
