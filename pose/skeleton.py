"""Skeletons: the joints that a data set labels or a network predicts, and what maps one skeleton on another.

Registered skeletons are the YAML files in `pose/skeletons`, one each; `load` also reads another YAML of the same fields,
and `from_category` reads the category of a COCO file. docs/add-a-skeleton.md shows both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, TypeAdapter, ValidationError

from pose import files, joint_names
from pose.errors import InputError
from pose.joint_names import DEFAULT_SIGMA, Side

FOLDER = Path(__file__).with_name("skeletons")
TORSO = ("left_shoulder", "right_hip")  # the torso of PCK (Yang and Ramanan, TPAMI 2013) where a skeleton has both

Pair = tuple[str, str]
_Sigma = Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)]


@dataclass(frozen=True, eq=False)
class Skeleton:
    """K joints in their order, and what is known of them; a value that is not given follows from the joints' names.

    Attributes:
        name: of a registered skeleton, of the YAML, or of the category.
        joints: K different names.
        flip_pairs: pairs of joints that change places in a mirror image, the person's left one first; by default those whose
            names differ in their side only (`left_`, `right_` and the like). A joint in no pair is its own mirror image.
        limbs: pairs of joints that are drawn as a line.
        sigmas: OKS constants, float64 [K]; by default those of COCO and CrowdPose by name, 0.079 for other names.
        torso: the joints whose distance PCK measures errors by; by default left shoulder and right hip where both are
            there, otherwise None: PCK then takes the diagonal of the box of the labelled joints.
        aliases: joint -> other names that a file may use for it.
        assumed_sigmas: the joints whose constant is the default of 0.079.

    Raises:
        InputError: names that are not unique, or pairs, sigmas or aliases that do not fit them.
    """

    name: str
    joints: tuple[str, ...]
    _: KW_ONLY
    flip_pairs: tuple[Pair, ...] = None  # type: ignore[assignment]  # never None once made
    limbs: tuple[Pair, ...] = ()
    sigmas: np.ndarray = None  # type: ignore[assignment]
    torso: Pair | None = None
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    assumed_sigmas: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_names(self.name, self.joints)
        pairs = joint_names.mirrored_pairs(self.joints) if self.flip_pairs is None else self.flip_pairs
        if self.sigmas is None:
            known = [joint_names.known_sigma(joint) for joint in self.joints]
            sigmas = np.array([DEFAULT_SIGMA if sigma is None else sigma for sigma in known])
            assumed = tuple(joint for joint, sigma in zip(self.joints, known, strict=True) if sigma is None)
        else:
            sigmas, assumed = np.array(self.sigmas, np.float64), self.assumed_sigmas
        torso = TORSO if self.torso is None and set(TORSO) <= set(self.joints) else self.torso
        sigmas.setflags(write=False)
        values = {
            "joints": tuple(self.joints),
            "flip_pairs": tuple((a, b) for a, b in pairs),
            "limbs": tuple((a, b) for a, b in self.limbs),
            "sigmas": sigmas,
            "torso": torso,
            "assumed_sigmas": assumed,
        }
        for attribute, value in values.items():
            object.__setattr__(self, attribute, value)
        self._check_fields()

    def __len__(self) -> int:
        return len(self.joints)

    def __str__(self) -> str:
        return self.name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Skeleton) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash((self.name, self.joints))

    @cached_property
    def flip(self) -> np.ndarray:
        """Index of the mirrored joint of each joint, int64 [K]; an involution."""
        mirror = {a: b for pair in self.flip_pairs for a, b in (pair, pair[::-1])}
        return np.array([self.joints.index(mirror.get(joint, joint)) for joint in self.joints])

    @cached_property
    def sides(self) -> tuple[Side | None, ...]:
        """The person's side that each joint is on, None in the middle: by its name, else by its place in its flip pair."""
        paired: dict[str, Side] = {}
        for left, right in self.flip_pairs:
            paired |= {left: "left", right: "right"}
        return tuple(joint_names.split_side(joint)[0] or paired.get(joint) for joint in self.joints)

    @cached_property
    def edges(self) -> np.ndarray:
        """Limbs as joint indices, int64 [E, 2]."""
        return np.array([self.indices(limb) for limb in self.limbs], np.int64).reshape(-1, 2)

    @cached_property
    def upper_body(self) -> np.ndarray | None:
        """Whether each joint is above the hips, bool [K]; None unless every joint's name is one of a human body's."""
        upper = joint_names.upper_body(self.joints)
        return None if upper is None else np.array(upper)

    def indices(self, joints: Sequence[str]) -> np.ndarray:
        """Index of each named joint, int64 [len(joints)].

        Raises:
            InputError: the skeleton has no joint of that name.
        """
        unknown = [joint for joint in joints if joint not in self.joints]
        if unknown:
            raise InputError(f"skeleton {self.name} has no joint '{unknown[0]}'; its joints are {', '.join(self.joints)}")
        return np.array([self.joints.index(joint) for joint in joints], np.int64)

    def shared(self, other: Skeleton) -> tuple[str, ...]:
        """The joints that both have, in this skeleton's order."""
        return tuple(joint for joint in self.joints if joint in other.joints)

    def only(self, joints: Sequence[str]) -> Skeleton:
        """The skeleton of some of the joints, in the order given, with their sigmas and the pairs and limbs among them."""
        chosen = self.indices(joints)
        return Skeleton(
            f"{self.name} ({len(joints)} of {len(self)} joints)",
            tuple(joints),
            flip_pairs=tuple(pair for pair in self.flip_pairs if set(pair) <= set(joints)),
            limbs=tuple(limb for limb in self.limbs if set(limb) <= set(joints)),
            sigmas=self.sigmas[chosen],
            torso=self.torso if self.torso and set(self.torso) <= set(joints) else None,
            aliases={joint: names for joint, names in self.aliases.items() if joint in joints},
            assumed_sigmas=tuple(joint for joint in self.assumed_sigmas if joint in joints),
        )

    def convert(self, keypoints: np.ndarray, target: Skeleton) -> np.ndarray:
        """Keypoints `[..., K, C]` of this skeleton as `[..., target K, C]`; joints that do not coincide are 0."""
        out = np.zeros((*keypoints.shape[:-2], len(target), keypoints.shape[-1]), keypoints.dtype)
        both = self.shared(target)
        out[..., target.indices(both), :] = keypoints[..., self.indices(both), :]
        return out

    def to_dict(self) -> dict[str, Any]:
        """The fields of a skeleton's YAML, every value written out: plain lists and numbers, for cards and json."""
        return {
            "name": self.name,
            "joints": list(self.joints),
            "flip_pairs": [list(pair) for pair in self.flip_pairs],
            "limbs": [list(limb) for limb in self.limbs],
            "sigmas": self.sigmas.tolist(),
            "torso": list(self.torso) if self.torso else None,
        }

    def _check_fields(self) -> None:
        """Raises InputError unless pairs, sigmas and aliases fit the joints."""
        where = f"skeleton {self.name}"
        torso = (self.torso,) if self.torso else ()
        for what, pairs in (("flip_pairs", self.flip_pairs), ("limbs", self.limbs), ("torso", torso)):
            for pair in pairs:
                unknown = [joint for joint in pair if joint not in self.joints]
                if unknown:
                    raise InputError(
                        f"{where}: {what} names '{unknown[0]}', which is not one of its joints; correct the name"
                    )
                if pair[0] == pair[1]:
                    raise InputError(f"{where}: {what} pairs '{pair[0]}' with itself; name two joints")
        paired = [joint for pair in self.flip_pairs for joint in pair]
        twice = [joint for joint in paired if paired.count(joint) > 1]
        if twice:
            raise InputError(f"{where}: flip_pairs names '{twice[0]}' more than once; a joint has one mirror image")
        if self.sigmas.shape != (len(self),) or not (np.isfinite(self.sigmas) & (self.sigmas > 0)).all():
            raise InputError(f"{where}: sigmas must be {len(self)} numbers above 0, one for each joint in order")
        strangers = [joint for joint in self.aliases if joint not in self.joints]
        if strangers:
            raise InputError(f"{where}: aliases names '{strangers[0]}', which is not one of its joints; correct the name")


def _check_names(name: str, joints: Sequence[str]) -> None:
    if not name.strip() or not name.isprintable():
        raise InputError(f"{name!r} cannot be the name of a skeleton; use printable characters")
    if not joints:
        raise InputError(f"skeleton {name} has no joints; name them in 'joints'")
    for number, joint in enumerate(joints):
        if not joint.strip() or not joint.isprintable():
            raise InputError(f"skeleton {name}: joint {number} has no printable name; name every joint")
        if joints.index(joint) != number:
            raise InputError(f"skeleton {name}: joint '{joint}' is named twice; names must be unique")


_Sigmas = Annotated[
    Annotated[dict[str, _Sigma], Tag("by joint")] | Annotated[tuple[_Sigma, ...], Tag("in order")],
    Discriminator(lambda value: "by joint" if isinstance(value, dict) else "in order"),
]


class SkeletonFile(BaseModel):
    """The fields of a skeleton's YAML; see `Skeleton`. `sigmas` may be a list of K numbers, or name only some joints."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str | None = None
    joints: tuple[str, ...]
    flip_pairs: tuple[Pair, ...] | None = None
    limbs: tuple[Pair, ...] = ()
    sigmas: _Sigmas | None = None
    torso: Pair | None = None
    aliases: dict[str, tuple[str, ...]] = {}

    def skeleton(self, name: str) -> Skeleton:
        """The skeleton that the file describes, called `name` unless the file has a name of its own.

        Raises:
            InputError: the fields do not fit each other.
        """
        fields: dict[str, Any] = {name: value for name, value in self if name not in ("name", "joints", "sigmas")}
        name = self.name or name
        if isinstance(self.sigmas, tuple):
            fields["sigmas"] = np.array(self.sigmas)
        elif self.sigmas is not None:
            plain = Skeleton(name, self.joints, **fields)
            chosen = plain.indices(tuple(self.sigmas))
            sigmas = plain.sigmas.copy()
            sigmas[chosen] = list(self.sigmas.values())
            assumed = tuple(joint for joint in plain.assumed_sigmas if joint not in self.sigmas)
            fields |= {"sigmas": sigmas, "assumed_sigmas": assumed}
        return Skeleton(name, self.joints, **fields)


def _registered() -> dict[str, Skeleton]:
    paths = sorted(FOLDER.glob("*.yaml"), key=lambda path: (path.stem != "coco17", path.stem))  # the usual one first
    return {path.stem: files.read_yaml(path, SkeletonFile).skeleton(path.stem) for path in paths}


SKELETONS = _registered()
COCO_17, LSP_14, AIC_14, MPII_16 = (SKELETONS[name] for name in ("coco17", "lsp14", "aic14", "mpii16"))


def get(name: str) -> Skeleton:
    """The registered skeleton of that name.

    Raises:
        InputError: no such skeleton.
    """
    if name not in SKELETONS:
        raise InputError(
            f"skeleton '{name}' is not known; choose one of {', '.join(SKELETONS)}, or give the path of a .yaml file"
        )
    return SKELETONS[name]


def load(name_or_path: str | Path, folder: Path | None = None) -> Skeleton:
    """The registered skeleton of that name, or the one in a `.yaml` file.

    Args:
        folder: that a relative path starts from; the working directory when None.

    Raises:
        InputError: no such skeleton, or a file that cannot be read or is not a skeleton.
    """
    if Path(name_or_path).suffix not in (".yaml", ".yml"):
        return get(str(name_or_path))
    path = (folder or Path()) / name_or_path
    described = files.read_yaml(path, SkeletonFile)
    try:
        return described.skeleton(path.stem)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def from_category(category: Mapping[str, Any]) -> Skeleton:
    """The skeleton of a COCO file's category: a registered one where the joints are its joints, else the category's own.

    Args:
        category: `name`, `keypoints` (K names), and where the file has them `skeleton` (limbs: pairs of joint numbers, from
            1), `flip_pairs` (pairs of joint names, or of joint numbers from 0) or `flip_idx` (K joint numbers, from 0: the
            mirror image of each), and `sigmas` (K numbers). A registered skeleton is recognised by its joints' names in
            their order, spelling variants and aliases included; the other fields are then ignored.

    Raises:
        InputError: a field does not fit the joints; the message names the field.
    """
    joints = tuple(category["keypoints"])
    for skeleton in SKELETONS.values():
        if joint_names.match(joints, skeleton.joints, skeleton.aliases):
            return skeleton
    name = str(category.get("name") or "")
    name = name if name.strip() and name.isprintable() else "keypoints"
    _check_names(name, joints)
    try:
        own = TypeAdapter(_CategoryFields).validate_python(category)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"category '{name}': {where}: {first['msg']}") from error
    limbs = tuple((_joint(joints, a, name), _joint(joints, b, name)) for a, b in own.skeleton)
    pairs = None if own.flip_pairs is None else tuple(_named_pair(pair, joints, name) for pair in own.flip_pairs)
    if pairs is None and own.flip_idx is not None:
        pairs = _pairs_of(own.flip_idx, joints, name)
    sigmas = None if own.sigmas is None else np.array(own.sigmas)
    return Skeleton(name, joints, flip_pairs=pairs, limbs=limbs, sigmas=sigmas)  # type: ignore[arg-type]


class _CategoryFields(BaseModel):
    model_config = ConfigDict(extra="ignore")

    skeleton: tuple[tuple[int, int], ...] = ()
    flip_pairs: tuple[Pair | tuple[int, int], ...] | None = None
    flip_idx: tuple[int, ...] | None = None
    sigmas: tuple[_Sigma, ...] | None = None


def _joint(joints: Sequence[str], number: int, name: str) -> str:
    if not 1 <= number <= len(joints):
        raise InputError(f"category '{name}': its skeleton has joint number {number}; numbers go from 1 to {len(joints)}")
    return joints[number - 1]


def _named_pair(pair: Pair | tuple[int, int], joints: Sequence[str], name: str) -> Pair:
    """A flip pair by the joints' names; of numbers, the left joint first where its name says so."""
    a, b = pair
    if isinstance(a, str) or isinstance(b, str):
        return str(a), str(b)
    if not (0 <= a < len(joints) and 0 <= b < len(joints)):
        raise InputError(f"category '{name}': flip_pairs has {[a, b]}; numbers go from 0 to {len(joints) - 1}")
    return _left_first(joints[a], joints[b])


def _left_first(a: str, b: str) -> Pair:
    return (b, a) if joint_names.split_side(a)[0] == "right" else (a, b)


def _pairs_of(mirror: Sequence[int], joints: Sequence[str], name: str) -> tuple[Pair, ...]:
    """Flip pairs of the index of each joint's mirror image, the left joint first where its name says so."""
    if sorted(mirror) != list(range(len(joints))) or any(mirror[mirror[i]] != i for i in range(len(joints))):
        raise InputError(
            f"category '{name}': flip_idx must hold {len(joints)} joint numbers from 0, each the mirror image's mirror image"
        )
    return tuple(_left_first(joints[i], joints[j]) for i, j in enumerate(mirror) if i < j)
