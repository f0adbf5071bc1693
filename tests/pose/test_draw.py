"""Poses on pictures: sides have their colours, unseen joints stay away, the picture itself stays as it was."""

from __future__ import annotations

import numpy as np

from pose.draw import LEFT, RIGHT, contact_sheet, draw_pose
from pose.skeleton import COCO_17, Skeleton

_WRISTS = COCO_17.indices(("left_wrist", "right_wrist"))


def _wrists(flag: float) -> np.ndarray:
    keypoints = np.zeros((17, 3))
    keypoints[_WRISTS] = [(140, 60, flag), (60, 60, flag)]
    return keypoints


def test_sides_have_their_own_colours() -> None:
    image = np.zeros((200, 200, 3), np.uint8)
    drawn = draw_pose(image, _wrists(2), COCO_17)
    assert tuple(drawn[60, 140]) == LEFT
    assert tuple(drawn[60, 60]) == RIGHT
    assert not image.any()


def test_occluded_joints_are_hollow_and_unlabelled_ones_absent() -> None:
    image = np.zeros((200, 200, 3), np.uint8)
    hollow = draw_pose(image, _wrists(1), COCO_17)
    assert hollow.any()
    assert not hollow[60, 140].any()
    assert not draw_pose(image, _wrists(0), COCO_17).any()


def test_scores_below_the_least_and_nan_leave_joints_out() -> None:
    image = np.zeros((200, 200, 3), np.uint8)
    scores = np.zeros(17)
    scores[_WRISTS[0]] = 0.9
    drawn = draw_pose(image, _wrists(2)[:, :2], COCO_17, scores=scores)
    assert drawn[:, 100:].any()
    assert not drawn[:, :100].any()
    assert not draw_pose(image, np.full((17, 2), np.nan), COCO_17).any()


def test_a_contact_sheet_has_every_image_in_its_place() -> None:
    images = [np.full((20, 30, 3), value, np.uint8) for value in (10, 20, 30)]
    sheet = contact_sheet(images, columns=2, gap=4)
    assert sheet.shape == (2 * 24 + 4, 2 * 34 + 4, 3)
    assert [sheet[10, 10, 0], sheet[10, 44, 0], sheet[34, 10, 0], sheet[34, 44, 0]] == [10, 20, 30, 255]


def test_given_pairs_colour_joints_whose_names_state_no_side() -> None:
    thing = Skeleton("horse", ("near", "off"), flip_pairs=(("near", "off"),))
    drawn = draw_pose(np.zeros((200, 200, 3), np.uint8), np.array([(140, 60), (60, 60)]), thing)
    assert (tuple(drawn[60, 140]), tuple(drawn[60, 60])) == (LEFT, RIGHT)
