"""Decoding exactly as published: against vectors of the public implementations, and in cases written out here."""

from __future__ import annotations

import numpy as np
import pytest
from parity_vectors import SYSTEMS, needed

from pose.crop import CropSpec, affine, to_image
from pose.decode import KERNEL, blur, decode
from pose.heatmaps import HeatmapGrid, fuse_flip
from pose.published_decoding import METHODS, Published, in_crop, peaks
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
@pytest.mark.parametrize(
    ("method", "key", "narrower"), [("hrnet", "hrnet_image_coords", 0), ("transpose_dark", "dark_image_coords", 1)]
)
def test_vectors_in_the_photo(method: Published, key: str, narrower: int) -> None:
    """TransPose's box is a pixel of the photo narrower than the one that its crop is cut from."""
    arrays, spec = vectors(), CropSpec()
    coords, _ = decode(arrays["heatmaps"], method)
    for person, center, scale, expected in zip(coords, arrays["center"], arrays["scale"], arrays[key], strict=True):
        size = spec.size * (200 * scale[0] - narrower) / spec.width / spec.padding
        photo = to_image(person.astype(np.float64), affine(np.concatenate([center - size / 2, size]), spec), spec)
        assert np.abs(photo - expected).max() <= 1e-4 * np.abs(expected).max()


@needed
def test_vectors_of_transpose_in_the_heatmap() -> None:
    arrays = vectors()
    maps = arrays["heatmaps"].astype(np.float32)
    places = peaks(maps, blur(maps, KERNEL), "transpose_dark")
    assert np.abs(places - arrays["dark_heatmap_coords"]).max() <= 1e-4 * 63


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
    expected = in_crop(np.array([x, y]), method, W, H)
    assert np.abs((coords[0, 0] - expected) * (W, H)).max() < (0.01 if "dark" in method or "udp" in method else 0.3)


@pytest.mark.parametrize(("method", "place"), [("hrnet", (1, 30)), ("mmpose_msra", (1, 30.25)), ("transpose_dark", (1, 30))])
def test_beside_an_edge(method: Published, place: tuple[float, float]) -> None:
    """HRNet moves neither axis there, mmpose the one along the edge."""
    coords, _ = decode(bump(1.2, 30.2), method)
    assert np.allclose(coords[0, 0], in_crop(np.array(place), method, W, H))


def test_an_empty_map_has_its_joint_in_a_corner() -> None:
    maps = bump(20, 30) - 2
    assert np.allclose(decode(maps, "hrnet")[0], 0)
    assert np.allclose(decode(maps, "mmpose_dark")[0] * (W, H), -1)
    assert np.allclose(decode(maps, "quarter")[0] * (W, H), (20, 30), atol=0.3)


def test_transposes_grid_and_the_crop_have_one_middle() -> None:
    assert np.allclose(in_crop(np.array([(W - 1) / 2, (H - 1) / 2]), "transpose_dark", W, H), 0.5)
    corner = in_crop(np.array([W - 1.0, H - 1.0]), "transpose_dark", W, H)
    assert np.allclose(corner, (1, 0.5 + (H - 1) / 2 * W / H / (W - 1)))  # cells are square, and the crop is 3 to 4


def test_mirrored_maps_on_corners_stay_where_they_are() -> None:
    upright, mirrored = bump(20, 30), bump(W - 1 - 20, 30)
    fused = fuse_flip(upright, mirrored, np.array([0]), HeatmapGrid(corners=(192, 256)))
    assert np.allclose(fused, upright)


def test_a_mirrored_map_is_moved_by_a_cell() -> None:
    """A joint at column 20 is at 28 of the mirrored map, as pixels are mirrored about the middle of cells 0 and 48."""
    left, right = bump(20, 30), bump(9, 12)
    upright = np.concatenate([left, right], 1)
    mirrored = np.concatenate([bump(W - 9, 12), bump(W - 20, 30)], 1)
    assert np.allclose(fuse_flip(upright, mirrored, np.array([1, 0]))[..., 1:], upright[..., 1:], atol=1e-6)
