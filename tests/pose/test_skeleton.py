from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

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
    assert skeleton.from_category({"name": "person", "keypoints": list(MPII_16.joints)}) is MPII_16
    with pytest.raises(InputError, match="choose one of coco17"):
        skeleton.get("lsp")
    own = skeleton.from_category({"name": "cat", "keypoints": ["nose", "tail"]})
    assert (own.name, own.joints) == ("cat", ("nose", "tail"))


# Joints of any name.

HAND = Skeleton("hand", ("wrist", *(f"finger{number}" for number in range(20))))


def test_any_joints_make_a_skeleton() -> None:
    assert len(HAND) == 21
    assert HAND.flip.tolist() == list(range(21))
    assert HAND.sigmas.tolist() == [0.062] + [0.079] * 20
    assert HAND.assumed_sigmas == HAND.joints[1:]
    assert (HAND.limbs, HAND.edges.shape, HAND.torso, HAND.upper_body) == ((), (0, 2), None, None)
    assert set(HAND.sides) == {None}


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("left_eye", "right_eye"),
        ("l_eye", "r_eye"),
        ("L_Eye", "R_Eye"),
        ("Left Eye", "Right Eye"),
        ("left-eye", "right-eye"),
        ("leftEye", "rightEye"),
        ("lefteye", "righteye"),
        ("eye_left", "eye_right"),
        ("eye_l", "eye_r"),
        ("eye (left)", "eye (right)"),
        ("front_left_paw", "front_right_paw"),
    ],
)
def test_sides_are_read_off_the_names(left: str, right: str) -> None:
    skeleton = Skeleton("thing", (right, "nose", left))
    assert skeleton.flip_pairs == ((left, right),)
    assert skeleton.flip.tolist() == [2, 1, 0]
    assert skeleton.sides == ("right", None, "left")


def test_joints_of_one_side_or_of_none_are_their_own_mirror_image() -> None:
    for joints in (("left_wrist", "left_thumb"), ("nose", "tail"), ("l", "r"), ("vertebra_l_1", "vertebra_l_2")):
        assert Skeleton("thing", joints).flip_pairs == ()
    with pytest.raises(InputError, match="joint 'left_ear' has no mirror image"):
        Skeleton("thing", ("left_eye", "right_eye", "left_ear", "rihgt_ear"))
    given = Skeleton("thing", ("left_eye", "right_eye", "left_ear"), flip_pairs=(("left_eye", "right_eye"),))
    assert given.flip.tolist() == [1, 0, 2]


def test_given_flip_pairs_replace_those_of_the_names() -> None:
    skeleton = Skeleton("thing", ("near", "off", "left_a", "right_a"), flip_pairs=(("near", "off"),))
    assert skeleton.flip.tolist() == [1, 0, 2, 3]
    assert skeleton.sides == ("left", "right", "left", "right")


WRONG = {
    "its own name": ({"name": "mine\n"}, r"'mine.n' cannot be the name of a skeleton"),
    "no joints": ({"joints": []}, "has no joints"),
    "nameless": ({"joints": ["a", " "]}, "joint 1 has no printable name"),
    "control character": ({"joints": ["a", "b\n"]}, "joint 1 has no printable name"),
    "twice": ({"joints": ["a", "b", "a"]}, "joint 'a' is named twice"),
    "limb": ({"limbs": [["a", "z"]]}, "limbs names 'z'"),
    "limb to itself": ({"limbs": [["a", "a"]]}, "limbs pairs 'a' with itself"),
    "torso": ({"torso": ["a", "z"]}, "torso names 'z'"),
    "pair": ({"flip_pairs": [["z", "a"]]}, "flip_pairs names 'z'"),
    "two mirror images": ({"flip_pairs": [["a", "b"], ["b", "c"]]}, "'b' more than once"),
    "sigmas": ({"sigmas": [0.1, 0.2]}, "sigmas must be 3 numbers"),
    "sigma of a stranger": ({"sigmas": {"z": 0.1}}, "has no joint 'z'"),
    "sigma 0": ({"sigmas": {"a": 0}}, "sigmas.*greater than 0"),
    "alias": ({"aliases": {"z": ["y"]}}, "aliases names 'z'"),
    "unknown field": ({"sides": 1}, "sides: Extra inputs"),
}


@pytest.mark.parametrize(("change", "message"), WRONG.values(), ids=WRONG)
def test_a_yaml_that_does_not_fit_is_one_line(tmp_path: Path, change: dict, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({"joints": ["a", "b", "c"], **change}))
    with pytest.raises(InputError, match=message) as caught:
        skeleton.load(path)
    assert "\n" not in str(caught.value)
    assert "mine" in str(caught.value)


def test_a_yaml_gives_what_it_states_and_its_name(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("joints: [left_hip, right_hip, tail]\nsigmas: {tail: 0.2}\ntorso: [left_hip, tail]\n")
    mine = skeleton.load(path)
    assert mine == skeleton.load("mine.yaml", tmp_path)
    assert (mine.name, mine.torso, mine.assumed_sigmas) == ("mine", ("left_hip", "tail"), ())
    assert mine.sigmas.tolist() == [0.107, 0.107, 0.2]
    path.write_text(yaml.safe_dump(mine.to_dict() | {"name": "other"}))
    other = skeleton.load(path)
    assert (other.name, other != mine, other.to_dict() | {"name": "mine"}) == ("other", True, mine.to_dict())


def test_some_of_the_joints() -> None:
    part = COCO_17.only(LSP_14.joints[:12])
    assert part.joints == LSP_14.joints[:12]
    assert np.array_equal(part.sigmas, LSP_14.sigmas[:12])
    assert np.array_equal(part.flip[part.flip], np.arange(12))
    assert part.torso == ("left_shoulder", "right_hip")
    eyes = COCO_17.only(("left_eye", "nose"))
    assert (eyes.torso, eyes.flip_pairs, eyes.limbs) == (None, (), (("nose", "left_eye"),))
    with pytest.raises(InputError, match="has no joint 'tail'; its joints are nose"):
        COCO_17.only(("tail",))


def test_the_torso_of_pck_is_where_it_was() -> None:
    assert {one.torso for one in SKELETONS.values()} == {("left_shoulder", "right_hip")}
