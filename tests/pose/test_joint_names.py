"""Sides that are read from the names of joints."""

from __future__ import annotations

import time

import pytest

from calib_data.categories import joints_of
from calib_data.repairs import Repair, Repairs
from pose import joint_names
from pose.errors import InputError
from pose.skeleton import COCO_17, Skeleton

SHORT = [joint.replace("left_", "l").replace("right_", "r") for joint in COCO_17.joints]
NUMBERED = [f"{number}_{joint}" for number, joint in enumerate(COCO_17.joints)]
SPANISH = ["nariz", "ojo_izquierdo", "ojo_derecho"]


def read(names: list[str], **more: object) -> tuple[Skeleton, Repairs]:
    repairs = Repairs("people.json")
    return joints_of({"id": 1, "name": "person", "keypoints": names, **more}, None, len(names), repairs).skeleton, repairs


@pytest.mark.parametrize(
    "names",
    [
        SHORT,
        SHORT[::-1],
        NUMBERED,
        [f"{n:02d}. {j}" for n, j in enumerate(SHORT)],
        [f"kp{n}_{j}" for n, j in enumerate(COCO_17.joints)],
        [f"Keypoint {n}: {j}" for n, j in enumerate(SHORT, 1)],
        [f"{j}_{n}" for n, j in enumerate(COCO_17.joints)],
        [f"{j} ({n})".removesuffix(")") for n, j in enumerate(SHORT, 1)],
        [f"person_{j}" for j in COCO_17.joints],
        [f"Person.{j}" for j in SHORT],
        [f"{j}_joint" for j in COCO_17.joints],
        [f"person_{j}_joint_{n}" for n, j in enumerate(COCO_17.joints)],
    ],
)
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


@pytest.mark.parametrize(
    "names",
    [
        [f"{joint}_{7 * place % 17}" for place, joint in enumerate(COCO_17.joints)],  # numbers that do not count up
        [f"person_{joint}" if place else joint for place, joint in enumerate(COCO_17.joints)],
        [*(f"{joint}_joint" for joint in COCO_17.joints[:-1]), "right_ankle_point"],
    ],
)
def test_what_not_all_names_have_belongs_to_the_names(names: list[str]) -> None:
    assert joint_names.places(names, COCO_17.joints, COCO_17.aliases) is None


@pytest.mark.parametrize(
    "names", [["hand_wrist", "hand_thumb"], ["left_hip", "left_knee"], ["big_toe", "small_toe"], ["0_tip", "1_fin"]]
)
def test_names_that_a_skeleton_has_stay_as_they_are(names: list[str]) -> None:
    assert joint_names.places(names, names, {}) == (0, 1)
    assert read(names)[0].joints == tuple(names)


@pytest.mark.parametrize("names", [["left_eye", "right_eye"], ["eye_l", "eye_r"], ["1_left", "1_right"]])
def test_a_side_alone_is_no_name(names: list[str]) -> None:
    assert joint_names.mirrored_pairs(names) == (tuple(names),)


@pytest.mark.parametrize(
    "pattern",
    ["{}", "keypoint_{}", "Keypoint {}", "point{}", "kp_{}", "kpt-{}", "Point #{}", "joint_{}", "joint({})", " {} ", ""],
)
def test_numbers_name_nothing(pattern: str) -> None:
    names = [pattern.format(number) for number in range(17)]
    assert joint_names.name_nothing(names, points=True)
    category = {"id": 1, "name": "person", "keypoints": names}
    assert joints_of(category, COCO_17, 17, Repairs("people.json")).places == tuple(range(17))
    if joint_names.name_nothing(names):
        with pytest.raises(InputError, match="name its 17 joints with --skeleton"):
            read(names)
        flipped = joints_of({**category, "flip_idx": COCO_17.flip.tolist()}, None, 17, Repairs("people.json")).skeleton
        assert (flipped.joints[16], flipped.flip.tolist()) == ("keypoint_16", COCO_17.flip.tolist())
    else:  # of a skeleton of the user's own they are the names
        assert read(names)[0].joints == tuple(names)


@pytest.mark.parametrize("name", ["nose", "kp_nose", "point_a", "thumb1", "p", "l", "pointer_1", "1a", "index_point_1"])
def test_a_word_names_a_joint(name: str) -> None:
    assert not joint_names.name_nothing(["0", name], points=True)


def test_numbers_that_a_file_or_a_skeleton_lists_are_names() -> None:
    """`calib_data.cut` writes such names of a YOLO data set, with their mirror images."""
    names = ["keypoint_0", "keypoint_1", "keypoint_2"]
    pairs = (("keypoint_1", "keypoint_2"),)
    assert read(names, flip_pairs=[list(pair) for pair in pairs])[0].flip_pairs == pairs
    own = Skeleton("own", ("keypoint_2", "keypoint_0"), flip_pairs=())
    assert joints_of({"id": 1, "name": "a", "keypoints": names}, own, 3, Repairs("people.json")).places == (2, 0)


def test_a_long_name_takes_no_time() -> None:
    began = time.process_time()
    names = ["_" * 100_000 + "x", " " * 100_000 + "x", "key" + "_" * 100_000, "a_" + "9" * 100_000, "a" + "_" * 100_000]
    assert not joint_names.name_nothing(names, points=True)
    assert joint_names.places(names, COCO_17.joints, {}) is None
    assert time.process_time() - began < 5
