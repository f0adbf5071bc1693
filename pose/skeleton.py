"""Skeletons: the joints of each annotation format, and what maps one format on another.

Sources: COCO keypoint evaluation (sigmas), CrowdPose (sigmas of the limb joints, neck and head), the LSP, AI Challenger and
MPII annotation formats (joint order).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pose.errors import InputError

# Per-joint constants of the object keypoint similarity, by the name of the joint without its side.
_SIGMAS = {
    "nose": 0.026, "eye": 0.025, "ear": 0.035, "shoulder": 0.079, "elbow": 0.072, "wrist": 0.062,
    "hip": 0.107, "knee": 0.087, "ankle": 0.089, "neck": 0.079, "head_top": 0.079, "thorax": 0.079, "pelvis": 0.107,
}  # fmt: skip


def _unsided(joint: str) -> str:
    return joint.removeprefix("left_").removeprefix("right_")


@dataclass(frozen=True)
class Skeleton:
    """Joint names in order, and the limbs drawn between them.

    Attributes:
        name: key in `SKELETONS`.
        joints: K names; a sided joint starts with `left_` or `right_` (the person's own sides).
        limbs: pairs of joint names.
    """

    name: str
    joints: tuple[str, ...]
    limbs: tuple[tuple[str, str], ...]

    def __len__(self) -> int:
        return len(self.joints)

    @cached_property
    def sigmas(self) -> np.ndarray:
        """OKS constants, float64 [K]."""
        return np.array([_SIGMAS[_unsided(joint)] for joint in self.joints])

    @cached_property
    def flip(self) -> np.ndarray:
        """Index of the mirrored joint of each joint, int64 [K]; an involution."""
        swap = {"left": "right", "right": "left"}
        mirrored = [f"{swap[side]}_{rest}" if side in swap else joint
                    for joint in self.joints for side, _, rest in [joint.partition("_")]]  # fmt: skip
        return np.array([self.joints.index(joint) for joint in mirrored])

    @cached_property
    def edges(self) -> np.ndarray:
        """Limbs as joint indices, int64 [E, 2]."""
        return np.array([[self.joints.index(a), self.joints.index(b)] for a, b in self.limbs])

    def indices(self, joints: tuple[str, ...]) -> np.ndarray:
        """Index of each named joint, int64 [len(joints)]."""
        return np.array([self.joints.index(joint) for joint in joints])

    def shared(self, other: Skeleton) -> tuple[str, ...]:
        """The joints that both have, in this skeleton's order."""
        return tuple(joint for joint in self.joints if joint in other.joints)

    def convert(self, keypoints: np.ndarray, target: Skeleton) -> np.ndarray:
        """Keypoints `[..., K, C]` of this skeleton as `[..., target K, C]`; joints that do not coincide are 0."""
        out = np.zeros((*keypoints.shape[:-2], len(target), keypoints.shape[-1]), keypoints.dtype)
        both = self.shared(target)
        out[..., target.indices(both), :] = keypoints[..., self.indices(both), :]
        return out


def _sided(*parts: str, first: str) -> tuple[str, ...]:
    second = "right" if first == "left" else "left"
    return tuple(f"{side}_{part}" for part in parts for side in (first, second))


_CHAIN = (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"), ("shoulder", "hip"))
_ARMS_AND_LEGS = (
    *((f"{side}_{a}", f"{side}_{b}") for side in ("left", "right") for a, b in _CHAIN),
    ("left_shoulder", "right_shoulder"),
    ("left_hip", "right_hip"),
)

COCO_17 = Skeleton(
    "coco17",
    ("nose", *_sided("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle", first="left")),
    (("nose", "left_eye"), ("nose", "right_eye"), ("left_eye", "left_ear"), ("right_eye", "right_ear"), *_ARMS_AND_LEGS),
)
_NECK = (("head_top", "neck"), ("neck", "left_shoulder"), ("neck", "right_shoulder"))
LSP_14 = Skeleton(
    "lsp14",
    ("right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle",
     "right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist", "neck", "head_top"),
    _ARMS_AND_LEGS + _NECK,
)  # fmt: skip
AIC_14 = Skeleton(
    "aic14",
    ("right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
     "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "head_top", "neck"),
    _ARMS_AND_LEGS + _NECK,
)  # fmt: skip
MPII_16 = Skeleton(
    "mpii16",
    ("right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "pelvis", "thorax", "neck",
     "head_top", "right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist"),
    (*_ARMS_AND_LEGS, *_NECK, ("thorax", "pelvis")),
)  # fmt: skip

SKELETONS = {skeleton.name: skeleton for skeleton in (COCO_17, LSP_14, AIC_14, MPII_16)}


def get(name: str) -> Skeleton:
    """The registered skeleton of that name.

    Raises:
        InputError: no such skeleton.
    """
    if name not in SKELETONS:
        raise InputError(f"skeleton '{name}' is not known; choose one of {', '.join(SKELETONS)}")
    return SKELETONS[name]


def from_joints(joints: list[str]) -> Skeleton:
    """The registered skeleton with exactly these joints in this order.

    Raises:
        InputError: none has them.
    """
    for skeleton in SKELETONS.values():
        if skeleton.joints == tuple(joints):
            return skeleton
    raise InputError(
        f"no registered skeleton has the {len(joints)} joints [{', '.join(joints)}]; known: {', '.join(SKELETONS)}"
    )
