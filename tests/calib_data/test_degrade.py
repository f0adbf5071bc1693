"""Degraded crops: where the picture ends, its joints do too."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from calib_data.augment import Augmentation
from calib_data.crops import Crops
from calib_data.degrade import degrade
from calib_data.synthetic import validation
from pose.crop import CropSpec
from pose.skeleton import COCO_17


@given(seed=st.integers(0, 10_000))
@settings(max_examples=50, deadline=None)
def test_beyond_the_end_of_the_picture_there_is_nothing(seed: int) -> None:
    crop = np.full((40, 60, 3), 200, np.uint8)
    cut, shown = degrade(np.random.default_rng(seed), Augmentation(cut=1), crop)
    x0, y0, x1, y1 = (shown * (60, 40, 60, 40)).round().astype(int)
    inside = np.zeros((40, 60), bool)
    inside[y0:y1, x0:x1] = True
    assert 0.5 < inside.mean() < 1
    assert (cut[inside] == 200).all()
    assert (cut[~inside] == 0).all()
    assert (crop == 200).all(), "the source must stay as it is"


def test_each_kind_does_what_it_says() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    gray, _ = degrade(np.random.default_rng(1), Augmentation(gray=1), noise)
    assert (gray == gray[..., :1]).all()
    blurred, _ = degrade(np.random.default_rng(1), Augmentation(blur=1), noise)
    assert blurred.std() < 0.8 * noise.std()
    occluded, shown = degrade(np.random.default_rng(1), Augmentation(occlude=1), noise)
    changed = (occluded != noise).any(-1)
    assert 0.005 < changed.mean() < 0.15
    assert shown.tolist() == [0, 0, 1, 1]
    assert np.array_equal(degrade(np.random.default_rng(1), Augmentation(), noise)[0], noise)


def test_joints_beyond_the_end_of_the_picture_are_not_labelled() -> None:
    people, spec = validation(8), CropSpec(width=64, height=64)
    whole = Augmentation(flip=0, half_body=0, rotation=0, scale=0)
    plain, cut = (Crops(people, spec, COCO_17, how) for how in (whole, Augmentation(0, 0, 8, 0, 0, cut=1)))
    lost = 0
    for index in range(len(people)):
        before, after = plain.get(index), cut.get(index)
        gone = (before.weight > 0) & (after.weight == 0)
        lost += int(gone.sum())
        at = (before.coords[gone] * 63).astype(int)
        assert (after.pixels[at[:, 1], at[:, 0]] == 0).all()
        assert (after.weight <= before.weight).all()
    assert lost > 3
