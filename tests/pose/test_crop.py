from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pose import crop
from pose.crop import CropSpec

boxes = st.tuples(st.floats(-200, 800), st.floats(-200, 800), st.floats(1, 900), st.floats(1, 900)).map(np.array)
specs = st.builds(CropSpec, st.integers(16, 512), st.integers(16, 512), padding=st.floats(1, 2))
scales, rotations = st.floats(0.5, 2), st.floats(-180, 180)


@given(boxes, specs, scales, rotations, st.booleans(), st.integers(0, 10_000))
def test_to_image_is_the_inverse(box: np.ndarray, spec: CropSpec, scale: float, turn: float, flip: bool, seed: int) -> None:
    matrix = crop.affine(box, spec, scale=scale, rotation=turn, flip=flip)
    points = np.random.default_rng(seed).random((7, 2)) * 1000
    back = crop.to_image(crop.to_normalised(points, matrix, spec), matrix, spec)
    assert np.abs(back - points).max() < 1e-6


@given(boxes, specs, scales, rotations, st.booleans())
def test_the_box_is_centred_and_fits(box: np.ndarray, spec: CropSpec, scale: float, turn: float, flip: bool) -> None:
    matrix = crop.affine(box, spec, scale=scale, rotation=turn, flip=flip)
    assert np.allclose(crop.to_normalised(box[:2] + box[2:] / 2, matrix, spec), 0.5)
    upright = crop.affine(box, spec, flip=flip)
    corners = crop.to_normalised(np.array([box[:2], box[:2] + box[2:]]), upright, spec)
    extent = np.abs(corners[1] - corners[0])
    assert np.isclose(extent.max(), 1 / spec.padding)  # the side that decides fills the crop but for the padding
    mirrored = np.linalg.det(matrix[:, :2]) < 0
    assert mirrored == flip


@given(boxes, specs, st.integers(0, 10_000))
def test_flip_mirrors_the_crop(box: np.ndarray, spec: CropSpec, seed: int) -> None:
    points = np.random.default_rng(seed).random((7, 2)) * 1000
    plain = crop.to_normalised(points, crop.affine(box, spec), spec)
    flipped = crop.to_normalised(points, crop.affine(box, spec, flip=True), spec)
    assert np.allclose(flipped, plain * (-1, 1) + (1, 0))


def test_positive_rotation_is_clockwise() -> None:
    spec = CropSpec(100, 100, padding=1.0)
    above = np.array([50.0, 10.0])
    turned = crop.to_normalised(above, crop.affine(np.array([0, 0, 100, 100]), spec, rotation=90), spec)
    assert np.allclose(turned, [0.9, 0.5])  # twelve o'clock goes to three


def test_pixels_follow_the_matrix() -> None:
    """A bright dot is in the crop where the matrix maps it."""
    image = np.zeros((120, 160, 3), np.uint8)
    image[70:73, 40:43] = 255
    spec = CropSpec(64, 96)
    matrix = crop.affine(np.array([20, 40, 60, 70]), spec, rotation=30, scale=0.8, flip=True)
    seen = crop.warp(image, matrix, spec)
    assert seen.shape == (96, 64, 3)
    rows, columns = np.nonzero(seen[..., 0] > 128)
    assert np.allclose([columns.mean(), rows.mean()], crop.transform(np.array([41.0, 71.0]), matrix), atol=0.5)


def test_an_unscaled_crop_copies_pixels() -> None:
    image = np.random.default_rng(0).integers(0, 256, (50, 60, 3), np.uint8)
    spec = CropSpec(30, 20, padding=1.0)
    seen = crop.warp(image, crop.affine(np.array([12, 17, 30, 20]), spec), spec)
    assert np.array_equal(seen, image[17:37, 12:42])
    outside = crop.warp(image, crop.affine(np.array([-30, 0, 30, 20]), spec), spec)
    assert not outside[:, :-1].any()


def test_normalise() -> None:
    spec = CropSpec(2, 1, mean=(10, 20, 30), std=(1, 2, 4))
    planes = crop.normalise(np.array([[[11, 24, 38], [10, 20, 30]]], np.uint8), spec)
    assert planes.dtype == np.float32
    assert planes.tolist() == [[[1, 0]], [[2, 0]], [[2, 0]]]


def test_the_table_of_normalise_changes_no_bit_of_the_arithmetic() -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, 2)
    for spec in (CropSpec(16, 16), CropSpec(16, 16, (127.5,) * 3, (127.5,) * 3)):
        expected = (ramp.astype(np.float32) - np.array(spec.mean, np.float32)) / np.array(spec.std, np.float32)
        assert np.array_equal(crop.normalise(ramp, spec), expected.transpose(2, 0, 1))
