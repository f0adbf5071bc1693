"""Three-dimensional people: proportions, joint angles, and the camera that looks at them.

Body axes: x to the person's left, y up, z forward. Camera axes: x to the right of the image, y up, z towards the camera. At
yaw 0 a person faces the camera and both frames coincide. Lengths are in units of an adult's height, segment lengths follow
Drillis & Contini (1966); angles are in degrees.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

SIDES = ("left", "right")

# Shoulder flexion, abduction and inward rotation, elbow flexion.
_ARMS = {
    "hanging": (5, 9, 15, 14), "akimbo": (-5, 45, 85, 95), "folded": (28, 6, 65, 105), "up": (160, 12, 0, 20),
    "sideways": (0, 85, 0, 12), "forward": (80, 5, 0, 18), "to the face": (38, 14, 25, 135), "waving": (0, 88, -90, 75),
    "behind": (-28, 14, 60, 55), "carrying": (15, 8, 10, 85),
}  # fmt: skip
_ARM_NAMES = tuple(_ARMS)
_FAMILIES = ("standing", "walking", "gesturing", "sitting", "squatting", "lying", "acrobatic")
_FAMILY_ODDS = np.cumsum((0.33, 0.19, 0.22, 0.14, 0.04, 0.03, 0.05))


@dataclass(frozen=True)
class Body:
    """A posed person in camera axes.

    Attributes:
        points: camera coordinates [3] of each named point: pelvis, waist, neck, head and, with the side in front, shoulder,
            elbow, wrist, hand, hip, knee, ankle, heel, toe.
        pelvis, chest, head: rotations [3, 3] from body to camera axes.
        head_radii: half axes [3] of the head's ellipsoid in its own axes.
        girth: thickness of limbs and trunk over that of an average adult.
    """

    points: dict[str, np.ndarray]
    pelvis: np.ndarray
    chest: np.ndarray
    head: np.ndarray
    head_radii: np.ndarray
    girth: float


def rotation(axis: int, degrees: float) -> np.ndarray:
    """Rotation [3, 3] about a coordinate axis, right-handed."""
    turn = math.radians(degrees)
    c, s = math.cos(turn), math.sin(turn)
    if axis == 0:
        return np.array([(1, 0, 0), (0, c, -s), (0, s, c)])
    if axis == 1:
        return np.array([(c, 0, s), (0, 1, 0), (-s, 0, c)])
    return np.array([(c, -s, 0), (s, c, 0), (0, 0, 1)])


def sample_body(rng: np.random.Generator) -> Body:
    """Draw a person: mostly upright with moderate articulation, with a tail of hard poses and views."""
    family = _FAMILIES[min(int(np.searchsorted(_FAMILY_ODDS, rng.random())), len(_FAMILIES) - 1)]
    legs, trunk, root = _legs_and_trunk(family, rng)
    arms = np.stack([_arm(family, rng) for _ in SIDES])
    if family == "walking":
        swing = legs[0, 0] - legs[1, 0]
        arms[:, 0] += np.array([-0.4, 0.4]) * swing
    return _forward(arms, legs, trunk, _camera(rng) @ root, rng)


def _arm(family: str, rng: np.random.Generator) -> np.ndarray:
    if family == "acrobatic" or (family == "gesturing" and rng.random() < 0.35):
        return rng.uniform((-40, -5, -70, 0), (175, 110, 80, 140))
    calm = {"standing": 0.6, "walking": 0.8, "lying": 0.5}.get(family, 0.25)
    name = "hanging" if rng.random() < calm else _ARM_NAMES[rng.integers(len(_ARM_NAMES))]
    angles = np.array(_ARMS[name]) + rng.normal(0, (13, 8, 15, 13))
    return np.clip(angles, (-50, -8, -100, 0), (178, 130, 100, 145))


def _legs_and_trunk(family: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hip flexion, abduction, outward turn and knee flexion [2, 4]; pitch, roll, yaw of spine and head [2, 3]; root."""
    noise = rng.normal(0, 1, (2, 4))
    legs = np.abs(noise) * (0, 4, 8, 4) + noise * (5, 0, 0, 0) + (0, 2, 3, 2)
    trunk = rng.normal(0, ((6, 4, 10), (10, 7, 22)))
    root = np.eye(3)
    if family == "walking":
        stride = rng.choice((-1.0, 1.0)) * rng.uniform(10, 38)
        bent = rng.uniform(0, 60)
        legs[:, 0] += (stride, -0.7 * stride)
        legs[:, 3] += (8 if stride > 0 else bent, bent if stride > 0 else 8)
        trunk[0, 0] += rng.uniform(0, 12)
    elif family == "sitting":
        legs = noise * (9, 7, 8, 16) + (86, 10, 5, rng.uniform(55, 105))
        trunk[0, 0] += rng.uniform(-12, 25)
    elif family == "squatting":
        legs = noise * (14, 8, 8, 16) + (95, 14, 12, 120)
        trunk[0, 0] += 25
    elif family == "lying":
        root = rotation(2, rng.choice((-90.0, 90.0)) + rng.normal(0, 15)) @ rotation(1, rng.uniform(-70, 70))
        legs += np.abs(noise[:, ::-1]) * (18, 4, 0, 25)
    elif family == "acrobatic":
        legs = rng.uniform((-30, 0, 0, 0), (110, 50, 30, 120), (2, 4))
        trunk = rng.normal(0, ((20, 14, 20), (16, 10, 28)))
        root = rotation(2, rng.normal(0, 35)) @ rotation(0, rng.normal(0, 25))
    return legs, trunk, root


def _camera(rng: np.random.Generator) -> np.ndarray:
    yaw = rng.normal(0, 38) if rng.random() < 0.55 else rng.uniform(-180, 180)
    return rotation(2, rng.normal(0, 5)) @ rotation(0, rng.normal(6, 9)) @ rotation(1, yaw)


def _forward(arms: np.ndarray, legs: np.ndarray, trunk: np.ndarray, pelvis: np.ndarray, rng: np.random.Generator) -> Body:
    """Forward kinematics with random proportions."""
    vary = 1 + np.clip(rng.normal(0, 0.06, 8), -0.16, 0.16)
    child = rng.random() < 0.12
    torso, upper_arm, forearm, thigh, shin = np.array([0.285, 0.172, 0.150, 0.240, 0.242]) * vary[:5]
    shoulder_width, hip_width = 0.112 * vary[5], 0.074 * vary[6]
    head_size = 1.16 * vary[7] * (1.35 if child else 1.0)
    bend = [rotation(1, yaw) @ rotation(0, pitch) @ rotation(2, roll) for pitch, roll, yaw in trunk]
    chest = pelvis @ bend[0]
    head = chest @ bend[1]
    points = {"pelvis": np.zeros(3)}
    points["waist"] = pelvis @ np.array([0, 0.4 * torso, 0])
    points["neck"] = points["waist"] + chest @ np.array([0, 0.6 * torso, 0])
    points["head"] = points["neck"] + chest @ np.array([0, 0.045, 0.005]) + head @ np.array([0, 0.068, 0.018]) * head_size
    for sign, side, arm, leg in zip((1, -1), SIDES, arms, legs, strict=True):
        flexion, abduction, inward, elbow = arm
        turn = chest @ rotation(0, -flexion) @ rotation(2, sign * abduction) @ rotation(1, -sign * inward)
        lower = turn @ rotation(0, -elbow)
        points[f"{side}_shoulder"] = points["neck"] + chest @ np.array([sign * shoulder_width, -0.018, 0])
        points[f"{side}_elbow"] = points[f"{side}_shoulder"] - upper_arm * turn[:, 1]
        points[f"{side}_wrist"] = points[f"{side}_elbow"] - forearm * lower[:, 1]
        points[f"{side}_hand"] = points[f"{side}_wrist"] - 0.062 * lower[:, 1] + 0.012 * lower[:, 2]
        flexion, abduction, outward, knee = leg
        turn = pelvis @ rotation(0, -flexion) @ rotation(2, sign * abduction) @ rotation(1, sign * outward)
        lower = turn @ rotation(0, knee)
        points[f"{side}_hip"] = pelvis @ np.array([sign * hip_width, 0, 0])
        points[f"{side}_knee"] = points[f"{side}_hip"] - thigh * turn[:, 1]
        points[f"{side}_ankle"] = points[f"{side}_knee"] - shin * lower[:, 1]
        points[f"{side}_heel"] = points[f"{side}_ankle"] - 0.022 * lower[:, 1] - 0.018 * lower[:, 2]
        points[f"{side}_toe"] = points[f"{side}_ankle"] - 0.032 * lower[:, 1] + 0.095 * lower[:, 2]
    radii = np.array([0.053, 0.068, 0.064]) * head_size
    return Body(points, pelvis, chest, head, radii, float(np.clip(rng.normal(1.0, 0.14), 0.72, 1.5)))
