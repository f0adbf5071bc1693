"""Facts that follow from the name of a joint: its side, its mirror image, its OKS constant, and its half of the body."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

from pose.errors import InputError

Side = Literal["left", "right"]

# OKS constants (standard deviation of annotators over the root of the person's area), by the name without its side. Those
# of COCO's joints are COCO's (cocodataset.org/#keypoints-eval). CrowdPose (Li et al., CVPR 2019) gives neck and head, which
# COCO does not have, COCO's shoulder constant; the default for a joint of any other name follows it.
SIGMAS = {
    "nose": 0.026, "eye": 0.025, "ear": 0.035, "shoulder": 0.079, "elbow": 0.072, "wrist": 0.062,
    "hip": 0.107, "knee": 0.087, "ankle": 0.089, "neck": 0.079, "head_top": 0.079, "thorax": 0.079, "pelvis": 0.107,
}  # fmt: skip
DEFAULT_SIGMA = 0.079

UPPER_BODY = ("nose", "eye", "ear", "shoulder", "elbow", "wrist", "neck", "head_top", "thorax")
LOWER_BODY = ("hip", "knee", "ankle", "pelvis", "heel", "big_toe", "small_toe")

_PAIRED = {"eye", "shoulder", "elbow", "wrist", "hip", "knee", "ankle"}  # not the ear: a `rear` alone is no right ear
_SIDES: dict[str, Side] = {"left": "left", "right": "right", "l": "left", "r": "right"}
_POINT = r"(?:key[\W_]*points?|points?|kpt?s?|pts?|joints?|landmarks?)"  # what tools call a joint that has no name
_NOTHING = re.compile(rf"{_POINT}?[\W_]*(?:\d+[\W_]*)?", re.I)
_NUMBER = re.compile(rf"\s*(?:{_POINT}[\W_]*)?\d+[\W_]+(?=\w)", re.I)
_OF_ALL = re.compile(rf"person|people|human|body|pose|{_POINT}", re.I)
_COUNTED = 3  # names from which numbers that count up at their ends are no fingers'
_LAST_NUMBER = re.compile(r"(?<=[^\W_])[\W_]+(\d{1,4})\s*\Z")
# left and right in the languages that annotators name joints in
_LOOKS_SIDED = re.compile(
    r"left|right|izquierd|derech|gauche|droit|links?(?![a-z])|rechts?(?![a-z])|sinistr|destr|esquerd|direit", re.I
)
_OTHER: dict[Side, Side] = {"left": "right", "right": "left"}
_WORDS = re.compile(r"[A-Z]?[^\W_A-Z]+|[A-Z]+(?![^\W_A-Z])")


def words(joint: str) -> list[str]:
    """The words of a name in lower case: of `left_eye`, `Left Eye`, `left-eye` and `leftEye` they are left and eye."""
    return [word.lower() for word in _WORDS.findall(joint)] or [joint.lower()]


def split_side(joint: str) -> tuple[Side | None, str]:
    """The side that a name states, as a word, as `l` or `r`, or as in `rhip`, and the rest of its words joined by `_`."""
    parts = words(joint)
    if len(parts) == 1 and parts[0][:1] in _SIDES and parts[0][1:] in _PAIRED:
        return _SIDES[parts[0][0]], parts[0][1:]
    for index, part in enumerate(parts):
        if part in _SIDES and len(parts) + len(part) > 2:  # a joint named `l` alone states no side
            return _SIDES[part], "_".join(parts[:index] + parts[index + 1 :])
    return None, "_".join(parts)


def canonical(joint: str) -> str:
    """One spelling of all variants of a name: `left_eye` of `L_Eye`, `eye (left)` and `leftEye`."""
    side, part = split_side(joint)
    return f"{side}_{part}" if side else part


def mirrored_pairs(joints: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """The pairs (left, right) of joints that change places in a mirror image, by their names, in the joints' order.

    A joint that states no side, or of which there is only one side, is its own mirror image.

    Raises:
        InputError: some joints have their mirror image and another that states its side has none: a misspelt name.
    """
    sides = dict(zip(joints, _readings(undecorated(joints)), strict=True))
    count = Counter(sides.values())
    joint_of = {key: joint for joint, key in sides.items() if key[0] and count[key] == 1}
    pairs = []
    for joint in joints:
        side, part = sides[joint]
        other = joint_of.get((_OTHER[side], part)) if side else None
        if other is not None and (joint_of.get((side, part)) == joint) and joints.index(joint) < joints.index(other):
            pairs.append((joint, other) if side == "left" else (other, joint))
    paired = {joint for pair in pairs for joint in pair}
    alone = [joint for joint in joints if joint not in paired and {"left", "right"} & set(words(joint))]
    if paired and alone:
        raise InputError(
            f"joint '{alone[0]}' has no mirror image among the joints; correct its name, or list the flip_pairs"
        )
    return tuple(pairs)


def looks_sided(joints: Sequence[str]) -> list[str]:
    """The joints whose names seem to state a side, in one of some languages, whether or not it can be read."""
    return [joint for joint in joints if _LOOKS_SIDED.search(joint)]


def name_nothing(names: Sequence[str], *, points: bool = False) -> bool:
    """Whether a file's names are blanks and numbers; with `points` also `keypoint_0`, `Point 1`, `kp_2` and the like."""
    stripped = [name.strip() for name in names]
    return all(_NOTHING.fullmatch(name) if points else not name or name.isdigit() for name in stripped)


def _readings(joints: Sequence[str]) -> list[tuple[Side | None, str]]:
    """Side and part of each of a file's joints, by names that are read beside each other.

    A `lear` shows that `rear` is the right ear.
    """
    singles = {joint.lower() for joint in joints}
    ears: dict[str, tuple[Side | None, str]] = {"lear": ("left", "ear"), "rear": ("right", "ear")}
    return [
        ears[joint.lower()] if joint.lower() in ears and ears.keys() <= singles else _split_glued(joint) for joint in joints
    ]


def undecorated(joints: Sequence[str]) -> Sequence[str]:
    """The names without what all of them have and which none of them needs to differ from the others.

    These are numbers in front (`0_nose`, `kp1_left_eye`), numbers at the end that count up (`nose_0`, `left_eye_1`), and a
    first or last word that every joint of a person could have (`person_nose`, `nose_joint`).
    """
    bare = [joint[number.end() :] if (number := _NUMBER.match(joint)) else "" for joint in joints]
    joints = bare if _differ(bare) else joints
    ends = [number for joint in joints if (number := _LAST_NUMBER.search(joint))]
    bare, numbers = [end.string[: end.start()] for end in ends], [int(end[1]) for end in ends]
    if len(ends) == len(joints) >= _COUNTED and _differ(bare) and numbers == [*range(numbers[0], numbers[0] + len(numbers))]:
        joints = bare
    for place, rest in ((0, slice(1, None)), (-1, slice(None, -1))):
        split = [words(joint) for joint in joints]
        bare = ["_".join(parts[rest]) for parts in split]
        common = {parts[place] if parts else "" for parts in split}
        if len(common) == 1 and _OF_ALL.fullmatch(common.pop()) and _differ(bare) and not _SIDES.keys() & set(bare):
            joints = bare
    return joints


def _differ(names: Sequence[str]) -> bool:
    return bool(names) and all(names) and len(set(names)) == len(names)


def _split_glued(joint: str) -> tuple[Side | None, str]:
    """`split_side`, which also reads `leftear`: a `rightear` beside it shows that the word begins with a side."""
    side, part = split_side(joint)
    if side is None:
        for word in _OTHER:
            if part.startswith(word) and len(part) > len(word):
                return word, part.removeprefix(word)
    return side, part


def known_sigma(joint: str) -> float | None:
    """The published OKS constant of a joint of that name; None where there is none."""
    return SIGMAS.get(split_side(joint)[1])


def upper_body(joints: Sequence[str]) -> list[bool] | None:
    """Whether each joint is above the hips; None unless every name is one of a human body's and both halves have joints."""
    parts = [split_side(joint)[1] for joint in joints]
    upper = [part in UPPER_BODY for part in parts]
    lower = [part in LOWER_BODY for part in parts]
    known = all(a or b for a, b in zip(upper, lower, strict=True))
    return upper if known and any(upper) and any(lower) else None


def places(names: Sequence[str], joints: Sequence[str], aliases: Mapping[str, Sequence[str]]) -> tuple[int, ...] | None:
    """Place of each joint among a file's names, in any spelling (see `canonical`) or by an alias; None if one is missing."""
    spellings = [[_key(_split_glued(name)) for name in (joint, *aliases.get(joint, ()))] for joint in joints]
    as_written = _places(names, spellings)
    bare = names if as_written is not None else undecorated(names)
    return as_written if bare is names else _places(bare, spellings)


def _places(names: Sequence[str], spellings: Sequence[Sequence[str]]) -> tuple[int, ...] | None:
    place_of: dict[str, int] = {}
    for place, reading in enumerate(_readings(names)):
        place_of.setdefault(_key(reading), place)
    options = [[place_of[key] for key in keys if key in place_of] for keys in spellings]
    first = tuple(choice[0] for choice in options if choice)
    return first if len(set(first)) == len(spellings) else None


def match(names: Sequence[str], joints: Sequence[str], aliases: Mapping[str, Sequence[str]]) -> bool:
    """Whether a file's names are the joints in their order, see `places`."""
    return len(names) == len(joints) and places(names, joints, aliases) == tuple(range(len(joints)))


def _key(reading: tuple[Side | None, str]) -> str:
    side, part = reading
    return f"{side}_{part}" if side else part
