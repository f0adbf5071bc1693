"""Sides that are read from the names of joints."""

from __future__ import annotations

import pytest

from calib_data.categories import joints_of
from calib_data.repairs import Repair, Repairs
from pose import joint_names
from pose.skeleton import COCO_17, Skeleton

SHORT = [joint.replace("left_", "l").replace("right_", "r") for joint in COCO_17.joints]
NUMBERED = [f"{number}_{joint}" for number, joint in enumerate(COCO_17.joints)]
SPANISH = ["nariz", "ojo_izquierdo", "ojo_derecho"]


def read(names: list[str], **more: object) -> tuple[Skeleton, Repairs]:
    repairs = Repairs("people.json")
    return joints_of({"id": 1, "name": "person", "keypoints": names, **more}, None, len(names), repairs).skeleton, repairs


@pytest.mark.parametrize("names", [SHORT, SHORT[::-1], NUMBERED, [f"{n:02d}. {j}" for n, j in enumerate(SHORT)]])
def test_short_and_numbered_names_are_those_of_coco(names: list[str]) -> None:
    skeleton, repairs = read(names)
    assert skeleton is COCO_17
    assert not list(repairs)
    assert len(joint_names.mirrored_pairs(names)) == len(COCO_17.flip_pairs)


def test_ears_are_each_others_mirror_image_in_a_skeleton_of_its_own() -> None:
    skeleton, repairs = read(["leye", "reye", "lear", "rear", "snout"])
    assert skeleton.flip_pairs == (("left_eye", "right_eye"), ("lear", "rear"))
    assert skeleton.flip.tolist() == [1, 0, 3, 2, 4]
    assert not list(repairs)


def test_a_rear_alone_is_no_ear_and_numbers_that_tell_joints_apart_stay() -> None:
    assert joint_names.mirrored_pairs(["front", "rear"]) == ()
    assert joint_names.mirrored_pairs(["1_tip", "2_tip"]) == ()
    assert joint_names.mirrored_pairs(["1_left_tip", "1_right_tip", "2_left_tip", "2_right_tip"]) == (
        ("1_left_tip", "1_right_tip"),
        ("2_left_tip", "2_right_tip"),
    )


@pytest.mark.parametrize("names", [SPANISH, ["nose", "left_tip", "right_top"]])
def test_sides_that_are_not_read_are_named_once(names: list[str]) -> None:
    skeleton, repairs = read(names)
    assert not skeleton.flip_pairs
    assert Repair.NO_MIRROR in repairs
    assert list(repairs) == [
        f"people.json: no mirror images are read from the joints' names ({names[1]}, {names[2]}): name them as flip_pairs"
    ]
    assert Repair.NO_MIRROR not in read(["front", "rear"])[1]
    for stated in ({"flip_pairs": [names[1:]]}, {"flip_pairs": []}, {"flip_idx": [0, 2, 1]}):
        assert Repair.NO_MIRROR not in read(names, **stated)[1]
