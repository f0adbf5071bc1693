from __future__ import annotations

import numpy as np
import pytest

from pose import skeleton
from pose.errors import InputError
from pose.skeleton import AIC_14, COCO_17, LSP_14, MPII_16, SKELETONS, Skeleton

EVERY = pytest.mark.parametrize("one", SKELETONS.values(), ids=SKELETONS)


@EVERY
def test_flip_is_an_involution_that_swaps_sides(one: Skeleton) -> None:
    assert np.array_equal(one.flip[one.flip], np.arange(len(one)))
    for joint, mirrored in zip(one.joints, one.flip, strict=True):
        assert one.joints[mirrored] == joint.replace("left", "?").replace("right", "left").replace("?", "right")


@EVERY
def test_joints_are_unique_and_have_sigmas_and_limbs(one: Skeleton) -> None:
    assert len(set(one.joints)) == len(one) == len(one.sigmas)
    assert (one.sigmas > 0).all()
    assert set(one.edges.ravel()) == set(range(len(one)))


def test_coco_and_lsp_share_the_twelve_limb_joints() -> None:
    sides, parts = ("left", "right"), ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    assert set(COCO_17.shared(LSP_14)) == {f"{side}_{part}" for side in sides for part in parts}
    assert set(LSP_14.shared(COCO_17)) == set(COCO_17.shared(LSP_14))


def test_lsp_and_aic_are_one_set_in_two_orders() -> None:
    """The order of channels 0..13 of the AI Challenger format as LSP indices, from the LSP paper's joint list."""
    assert LSP_14.indices(AIC_14.joints).tolist() == [8, 7, 6, 9, 10, 11, 2, 1, 0, 3, 4, 5, 13, 12]


@pytest.mark.parametrize(("a", "b"), [(LSP_14, AIC_14), (AIC_14, LSP_14), (LSP_14, MPII_16), (COCO_17, LSP_14)])
def test_convert_round_trip(a: Skeleton, b: Skeleton) -> None:
    keypoints = np.random.default_rng(0).random((4, len(a), 3))
    back = b.convert(a.convert(keypoints, b), a)
    kept = a.indices(a.shared(b))
    assert np.array_equal(back[:, kept], keypoints[:, kept])
    assert not np.delete(back, kept, 1).any()


def test_sigmas_are_cocos() -> None:
    official = [26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89]
    assert np.allclose(COCO_17.sigmas * 1000, official)


def test_lookups() -> None:
    assert skeleton.get("lsp14") is LSP_14
    assert skeleton.from_joints(list(MPII_16.joints)) is MPII_16
    with pytest.raises(InputError, match="choose one of coco17"):
        skeleton.get("lsp")
    with pytest.raises(InputError, match="the 2 joints"):
        skeleton.from_joints(["nose", "tail"])
