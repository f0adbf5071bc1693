"""Crops: the labels go where the pixels go, and the same seed, epoch and index give the same crop."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from drawn_source import Dots
from hypothesis import given, settings
from hypothesis import strategies as st

from calib_data.augment import Augmentation, draw_affine, relight
from calib_data.crops import Crop, Crops
from calib_data.joined import Joined
from pose.crop import CropSpec, transform
from pose.errors import InputError
from pose.skeleton import COCO_17, LSP_14, Skeleton

SPEC = CropSpec(width=96, height=128)
WILD = Augmentation(half_body=0.5, shift=0.1)
STILL = Augmentation(flip=0, half_body=0, rotation=0, scale=0)
quick = settings(max_examples=30, deadline=None)


def dot(crop: Crop) -> np.ndarray:
    """Centre of the white dot, (x, y) in pixels of the crop."""
    light = np.maximum(crop.pixels[..., 0].astype(float) - 60, 0)
    rows, columns = np.indices(light.shape)
    return np.array([(light * columns).sum(), (light * rows).sum()]) / light.sum()


@given(seed=st.integers(0, 10**6), epoch=st.integers(0, 300), index=st.integers(0, 4))
@quick
def test_labels_follow_the_pixels(seed: int, epoch: int, index: int) -> None:
    source = Dots()
    crop = Crops(source, SPEC, COCO_17, WILD, seed).get(index, epoch)
    joint = COCO_17.flip[source.shown] if crop.flipped else source.shown
    place = crop.coords[joint] * SPEC.size
    whole = (place > 12).all() and (place < SPEC.size - 12).all()
    if crop.weight[joint] and whole:
        assert np.linalg.norm(dot(crop) - place) < 1


@given(seed=st.integers(0, 10**6), index=st.integers(0, 4))
@quick
def test_joints_outside_the_crop_have_no_weight(seed: int, index: int) -> None:
    source, narrow = Dots(), replace(SPEC, padding=0.5)
    crop = Crops(source, narrow, COCO_17, WILD, seed).get(index)
    points = transform(source.labels(index).keypoints[:, :2], crop.matrix) / narrow.size
    points = points[COCO_17.flip] if crop.flipped else points
    inside = ((points >= 0) & (points <= 1)).all(1)
    assert np.array_equal(crop.weight, inside)
    assert np.allclose(crop.coords, np.where(inside[:, None], points, 0), atol=1e-6)
    assert crop.coords.dtype == crop.weight.dtype == np.float32


def same(a: Crop, b: Crop) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(vars(a).values(), vars(b).values(), strict=True))


def test_a_crop_depends_on_seed_epoch_and_index_and_on_nothing_else() -> None:
    crops = Crops(Dots(), SPEC, COCO_17, WILD, seed=3)
    first = crops.get(2, epoch=1)
    crops.get(4, epoch=5)
    assert same(first, crops.get(2, epoch=1))
    others = crops.get(2, epoch=2), crops.get(3, epoch=1), Crops(Dots(), SPEC, COCO_17, WILD, seed=4).get(2, epoch=1)
    assert not any(same(first, other) for other in others)


def test_without_augmentation_every_epoch_sees_the_plain_crop() -> None:
    plain = Crops(Dots(), SPEC, COCO_17)
    assert same(plain.get(1, epoch=0), plain.get(1, epoch=9))
    assert np.allclose(plain.get(1).matrix, Crops(Dots(), SPEC, COCO_17, STILL).get(1).matrix)


def test_labels_given_from_outside_replace_those_of_the_source() -> None:
    labels = np.zeros((5, 17, 3))
    labels[:, 0] = 60, 60, 1
    crop = Crops(Dots(), SPEC, COCO_17, labels=labels).get(0)
    assert crop.weight.tolist() == [1] + [0] * 16
    assert crop.coords[0] == pytest.approx([0.5, 0.5])


def test_a_crop_has_the_joints_of_the_network_not_of_the_source() -> None:
    crop = Crops(Dots(skeleton=LSP_14), SPEC, COCO_17).get(0)
    limbs = COCO_17.indices(LSP_14.shared(COCO_17))
    assert np.flatnonzero(crop.weight).tolist() == sorted(limbs)


@given(seed=st.integers(0, 10**6))
@quick
def test_half_body_shows_one_half_and_hrnets_margin_about_it(seed: int) -> None:
    sample, how = Dots().labels(0), replace(STILL, half_body=1)
    matrix, _ = draw_affine(np.random.default_rng(seed), how, sample.box, sample.keypoints, COCO_17, SPEC)
    upper = np.array([not joint.endswith(("hip", "knee", "ankle")) for joint in COCO_17.joints])
    halves = [transform(sample.keypoints[half, :2], matrix) for half in (upper, ~upper)]
    shown = [np.ptp(half, axis=0) / SPEC.size * 1.5 for half in halves]
    assert any(size.max() == pytest.approx(1) and size.min() <= 1 + 1e-9 for size in shown)


def test_half_body_takes_the_half_that_is_labelled_and_needs_enough_joints() -> None:
    sample, how = Dots().labels(0), replace(STILL, half_body=1)
    plain, _ = draw_affine(np.random.default_rng(0), STILL, sample.box, sample.keypoints, COCO_17, SPEC)

    def drawn(labelled: int, seed: int) -> np.ndarray:
        keypoints = sample.keypoints.copy()
        keypoints[labelled:, 2] = 0
        return draw_affine(np.random.default_rng(seed), how, sample.box, keypoints, COCO_17, SPEC)[0]

    assert all(np.allclose(drawn(8, seed), plain) for seed in range(8))
    upper = [drawn(11, seed) for seed in range(8)]  # whichever half is drawn: no joint below the wrists is labelled
    assert all(np.allclose(matrix, upper[0]) for matrix in upper)
    assert not np.allclose(upper[0], plain)


def test_relight_changes_light_and_nothing_else() -> None:
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    assert relight(np.random.default_rng(0), Augmentation(), ramp) is ramp
    seen = [relight(np.random.default_rng(seed), Augmentation(light=0.3), ramp).astype(int) for seed in range(20)]
    assert all((np.diff(image, axis=1) >= 0).all() for image in seen)  # brighter stays brighter
    means = [image.mean() for image in seen]
    assert min(means) < 110
    assert max(means) > 145
    assert any(np.ptp(image, axis=2).max() > 10 for image in seen)  # colour balance


@pytest.mark.parametrize("wrong", [{"flip": 1.5}, {"scale": 1}, {"rotation": -1}, {"light": float("nan")}])
def test_an_augmentation_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Augmentation(**wrong)


def test_joined_sources_are_one_after_the_other() -> None:
    a, b = Dots(2), Dots(3, shown=4)
    joined = Joined([a, b])
    assert len(joined) == 5
    parts = [source.image(index) for source in (a, b) for index in range(len(source))]
    assert all(np.array_equal(joined.image(index), part) for index, part in enumerate(parts))
    assert np.array_equal(joined.image(-1), parts[-1])
    assert [joined.labels(index).person_id for index in (0, 1, 2, -1)] == [1, 2, 1, 3]
    with pytest.raises(IndexError):
        joined.labels(5)


def test_joined_sources_have_the_joints_of_the_first_one(capsys: pytest.CaptureFixture[str]) -> None:
    joined, own = Joined([Dots(2), Dots(shown=3, skeleton=LSP_14)]), Dots(shown=3, skeleton=LSP_14).labels(0)
    assert joined.skeleton == COCO_17
    labels = joined.labels(2).keypoints
    shared = [joint for joint in LSP_14.joints if joint in COCO_17.joints]
    assert len(shared) == 12
    assert np.array_equal(labels[COCO_17.indices(shared)], own.keypoints[LSP_14.indices(shared)])
    assert (np.delete(labels, COCO_17.indices(shared), axis=0) == 0).all()
    assert "left out: neck, head_top" in " ".join(capsys.readouterr().err.split())
    one, other, third = (
        Dots(shown=0, skeleton=Skeleton("thing", joints)) for joints in (("a", "b"), ("c", "d"), ("b", "a"))
    )
    with pytest.raises(InputError, match="share no joint"):
        Joined([one, other])
    assert np.array_equal(Joined([one, third]).labels(-1).keypoints, third.labels(-1).keypoints[::-1])


def test_half_body_is_off_where_the_joints_are_not_those_of_a_body() -> None:
    joints = tuple(f"joint{number}" for number in range(17))
    sample, whole = Dots().labels(0), Skeleton("thing", joints)
    for seed in range(8):
        drawn = [
            draw_affine(
                np.random.default_rng(seed), replace(STILL, half_body=odds), sample.box, sample.keypoints, whole, SPEC
            )
            for odds in (0, 1)
        ]
        assert np.array_equal(drawn[0][0], drawn[1][0])
