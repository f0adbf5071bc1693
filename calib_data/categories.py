"""The category of a COCO file whose people are read, and its joints as those of a skeleton."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from calib_data.repairs import Repair, Repairs
from pose import joint_names
from pose import skeleton as skeletons
from pose.errors import InputError
from pose.skeleton import SKELETONS, Skeleton

# Published files that do not name their joints; by the number of joints, which no other file in use has: the skeleton of the
# first of them, which are the body's, and what the others are.
_UNNAMED = {
    136: ("halpe26", "110 of face and hands (Halpe-FullBody)"),
    133: ("coco17", "116 of feet, face and hands (COCO-WholeBody)"),
}
_SPELLING = {joint_names.canonical(joint): joint for known in SKELETONS.values() for joint in known.joints}

Category = Mapping[str, Any]


@dataclass(frozen=True)
class FileJoints:
    """The joints of a file.

    Attributes:
        skeleton: as which they are read.
        places: of the skeleton's joints among the file's.
        count: of the file's joints.
    """

    skeleton: Skeleton
    places: tuple[int, ...]
    count: int


def choose(categories: Sequence[Category], wanted: str | None, annotated: set[Any]) -> list[Category]:
    """The categories whose annotations are read: several only where all have the same joints.

    Args:
        categories: `id`, `name` and, where the file has them, `keypoints`.
        wanted: the name or the id of one.
        annotated: ids of the categories that have annotations with keypoints.

    Raises:
        InputError: no such category, or several of different joints.
    """
    names = ", ".join(repr(category["name"]) for category in categories[:8]) or "none"
    if wanted is not None:
        # a name may be another category's number
        for field in ("name", "id"):
            named = [category for category in categories if str(category[field]).casefold() == wanted.casefold()]
            if named:
                return named[:1]
        raise InputError(f"--category {wanted}: there is none; the categories are {names}")
    if not categories:
        raise InputError(
            "none of 'categories' (none) names its keypoints; is it a keypoint file? If so, name its joints with --skeleton"
        )
    jointed = [category for category in categories if category.get("keypoints")]
    candidates = jointed or list(categories)
    people = [category for category in candidates if category["name"].casefold() == "person"]
    used = [category for category in candidates if category["id"] in annotated] or candidates
    joints = {tuple(category.get("keypoints") or ()) for category in used}
    # a `person` that nobody has, while everybody is a `pose` of the same joints, is an editor's default
    if len(people) == 1 and (people[0] in used or joints != {tuple(people[0].get("keypoints") or ())}):
        return people
    if len(joints) > 1 or (len(used) > 1 and not jointed):
        held = ", ".join(repr(category["name"]) for category in used[:8])
        raise InputError(f"several categories name keypoints ({held}); choose one with --category")
    return used


def joints_of(category: Category, skeleton: Skeleton | None, count: int, repairs: Repairs) -> FileJoints:
    """The joints of a category's annotations.

    The joints are those of `skeleton`, else of the registered skeleton that has the same joints, in any order and spelling,
    else of the largest one whose joints are all among them, else the category's own.

    Args:
        count: of the joints that annotations have, for a category that does not name them.

    Raises:
        InputError: the joints are not named, or do not fit each other or `skeleton`.
    """
    names = category.get("keypoints") or []
    # `keypoint_0` may be a joint of a skeleton of one's own, and says nothing of the joints of any other skeleton
    is_other = skeleton is not None and not set(skeleton.joints) <= set(names)
    if joint_names.name_nothing(names, points=is_other):
        return _unnamed(category, skeleton, count, repairs)
    for number, name in enumerate(names):
        if names.index(name) != number:
            raise InputError(f"category '{category['name']}': joint '{name}' is named twice; names must be unique")
    if skeleton is not None:
        places = joint_names.places(names, skeleton.joints, skeleton.aliases)
        if places is None:
            raise InputError(
                f"category '{category['name']}' does not have the joints of {skeleton.name}: {_missing(names, skeleton)}"
            )
        return _of(skeleton, places, names, repairs)
    same = [known for known in SKELETONS.values() if len(known) == len(names)]
    in_order = [known for known in same if joint_names.match(names, known.joints, known.aliases)]
    for known in (*in_order, *same):
        places = joint_names.places(names, known.joints, known.aliases)
        if places is not None:
            return _of(known, places, names, repairs)
    for known in sorted(SKELETONS.values(), key=len, reverse=True):
        # without aliases: only of the same set of joints a "head" is certain to be the top of the head
        places = joint_names.places(names, known.joints, {})
        if places is not None:
            return _of(known, places, names, repairs)
    return FileJoints(_own(category, repairs), tuple(range(len(names))), len(names))


def _of(skeleton: Skeleton, places: tuple[int, ...], names: Sequence[str], repairs: Repairs) -> FileJoints:
    others = [name for place, name in enumerate(names) if place not in places]
    if others:
        repairs.add(
            Repair.JOINTS_LEFT_OUT,
            detail=f"{', '.join(others[:8])}{', ...' if len(others) > 8 else ''}, beside {skeleton.name}",
        )
    return FileJoints(skeleton, places, len(names))


def _missing(names: Sequence[str], skeleton: Skeleton) -> str:
    plain = joint_names.undecorated(names)
    missing = [joint for joint in skeleton.joints if joint_names.places(plain, [joint], skeleton.aliases) is None]
    return f"it lacks {', '.join(missing[:4])}{', ...' if len(missing) > 4 else ''}" if missing else "a name is used twice"


def _unnamed(category: Category, skeleton: Skeleton | None, count: int, repairs: Repairs) -> FileJoints:
    body, others = _UNNAMED.get(count, (None, ""))
    if body is not None and (skeleton is None or skeleton.joints == SKELETONS[body].joints[: len(skeleton)]):
        skeleton = skeleton or SKELETONS[body]
        repairs.add(Repair.JOINTS_LEFT_OUT, detail=others)
        return FileJoints(skeleton, tuple(range(len(skeleton))), count)
    if skeleton is None and count and category.get("flip_idx"):  # enough to train on, if not to compare with others
        numbered = {**category, "keypoints": [f"keypoint_{number}" for number in range(count)]}
        return FileJoints(_own(numbered, repairs), tuple(range(count)), count)
    if skeleton is None:
        raise InputError(
            f"none of 'categories' ({category['name']!r}) names its keypoints; is it a keypoint file? If so, name its "
            f"{f'{count} joints' if count else 'joints'} with --skeleton: {', '.join(SKELETONS)}, or a YAML"
        )
    if count not in (0, len(skeleton)):
        raise InputError(
            f"annotations have {count} joints, skeleton {skeleton.name} has {len(skeleton)}; give another --skeleton"
        )
    return FileJoints(skeleton, tuple(range(len(skeleton))), len(skeleton))


def _own(category: Category, repairs: Repairs) -> Skeleton:
    """The category's own skeleton; a joint that a registered skeleton has takes its spelling, so that both share it."""
    names = list(category["keypoints"])
    renamed = [_SPELLING.get(joint_names.canonical(name), name) for name in names]
    spelling = dict(zip(names, renamed if len(set(renamed)) == len(names) else names, strict=True))
    fields = dict(category, keypoints=list(spelling.values()))
    pairs, limbs = fields.get("flip_pairs"), fields.get("skeleton")
    if isinstance(pairs, list) and all(isinstance(pair, list) for pair in pairs):
        fields["flip_pairs"] = [
            [spelling.get(name, name) if isinstance(name, str) else name for name in pair] for pair in pairs
        ]
    if limbs is not None and not _are_limbs(limbs, len(names)):
        repairs.add(Repair.LIMBS_LEFT_OUT, detail="limbs")
        del fields["skeleton"]
    skeleton = skeletons.from_category({name: value for name, value in fields.items() if value is not None})
    if not skeleton.flip_pairs and pairs is None and fields.get("flip_idx") is None:
        repairs.add(Repair.NO_MIRROR, detail=", ".join(joint_names.looks_sided(skeleton.joints)[:2]))
    return skeleton


def _are_limbs(limbs: Any, count: int) -> bool:
    """Whether a category's `skeleton` is pairs of joint numbers, from 1."""
    return isinstance(limbs, list) and all(
        isinstance(limb, list) and len(limb) == 2 and all(type(end) is int and 1 <= end <= count for end in limb)
        and limb[0] != limb[1]
        for limb in limbs
    )  # fmt: skip
