"""The head: an ellipsoid with a face on one side of it, so that eyes, ears and nose show which way it looks."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import accumulate
from typing import Protocol

import numpy as np

from calib_data.synthetic.body import SIDES, Body
from calib_data.synthetic.canvas import UPRIGHT, Canvas, capsule, ellipse, hull
from calib_data.synthetic.wardrobe import Look

_LEFT = {  # directions from the head's centre, in its half axes; the right side mirrors them
    "eye": [(0.43, 0.12, 0.895)], "ear": [(1.04, 0.02, -0.1)], "temple": [(1.04, 0.03, -0.1)],
    "brow": [(0.2, 0.36, 0.92), (0.66, 0.36, 0.7)],
}  # fmt: skip
_MARKS = {  # of the face, [n, 3] each
    "nose": np.array([(0.0, -0.16, 1.16)]),
    "bridge": np.array([(0, 0.1, 1.0), (0.19, -0.28, 0.93), (-0.19, -0.28, 0.93), (0, -0.2, 1.18)]),
    "mouth": np.array([(-0.32, -0.55, 0.78), (0, -0.6, 0.86), (0.32, -0.55, 0.78)]),
    **{f"{side}_{name}": np.array(mark) * (sign, 1, 1) for sign, side in zip((1, -1), SIDES, strict=True)
       for name, mark in _LEFT.items()},
}  # fmt: skip
_JOINTS = ("nose", "left_eye", "left_ear", "right_eye", "right_ear")
_ALL_MARKS, _ENDS = np.concatenate(list(_MARKS.values())), list(accumulate(map(len, _MARKS.values())))
_EYE_WHITE, _PUPIL, _LIPS = np.array([(242.0, 242.0, 238.0), (35.0, 28.0, 25.0), (90.0, 33.0, 33.0)])
_CIRCLE = np.stack([(math.cos(turn), math.sin(turn)) for turn in np.linspace(0, 2 * np.pi, 32, endpoint=False)])


class _View(Protocol):
    @property
    def scale(self) -> float: ...

    def project(self, points: np.ndarray) -> np.ndarray: ...


def face_points(body: Body) -> dict[str, np.ndarray]:
    """Nose, eyes and ears in camera axes."""
    return {joint: _on_head(body, _MARKS[joint][0]) for joint in _JOINTS}


def draw_head(
    canvas: Canvas, body: Body, look: Look, view: _View, label: Callable[[str], int]
) -> list[tuple[float, Callable[[], None]]]:
    """Depth towards the camera and what to paint there, for the head and for hair that hangs behind it."""
    head = _Head(canvas, body, look, view, label)
    parts: list[tuple[float, Callable[[], None]]] = [(float(body.points["head"][2]) + 0.01, head.paint)]
    if look.hair_style == "long":
        behind = (body.points["head"] + body.points["neck"]) / 2 - 0.05 * body.head[:, 2]
        parts.append((float(behind[2]), head.mane))
    return parts


def _on_head(body: Body, direction: np.ndarray) -> np.ndarray:
    return np.asarray(body.points["head"] + (direction * body.head_radii) @ body.head.T)


def _great_circle(x: float, y: float, z: float) -> np.ndarray:
    """Directions [32, 3] at right angles to a unit vector."""
    first = (0.0, z, -y) if abs(x) < 0.8 else (-z, 0.0, x)
    norm = math.hypot(*first)
    a, b, c = (part / norm for part in first)
    return _CIRCLE @ np.array([(a, b, c), (y * c - z * b, z * a - x * c, x * b - y * a)])


def _cap(axis: tuple[float, float, float], degrees: float) -> np.ndarray:
    """Rim [32, 3] of the spherical cap around an axis."""
    centre = np.array(axis) / np.linalg.norm(axis)
    angle = np.deg2rad(degrees)
    return np.asarray(np.cos(angle) * centre + np.sin(angle) * _great_circle(*centre.tolist()))


_FACE, _JAW, _CROWN = ((0.0, -0.32, 1.0), 68.0), ((0.0, -0.85, 0.6), 42.0), ((0.0, 1.0, -0.25), 62.0)
_RIMS = {cap: _cap(*cap) for cap in (_FACE, _JAW, _CROWN)}


class _Head:
    def __init__(self, canvas: Canvas, body: Body, look: Look, view: _View, label: Callable[[str], int]) -> None:
        self.canvas, self.body, self.look, self.view, self.label = canvas, body, look, view, label
        self.centre = view.project(body.points["head"])
        facing = body.head[2] / body.head_radii
        self.facing = facing / np.linalg.norm(facing)  # the direction, on the unit sphere, that looks at the camera
        self.outline = _great_circle(*self.facing.tolist())
        self.at = dict(zip(_MARKS, np.split(self.pixels(_ALL_MARKS), _ENDS[:-1]), strict=True))
        self.unit = float(body.head_radii[0] / 0.053 * view.scale)  # pixels a height, for a head of average size

    def pixels(self, directions: np.ndarray) -> np.ndarray:
        return self.view.project(_on_head(self.body, directions))

    def cap(self, cap: tuple[tuple[float, float, float], float], inflate: float = 1.0) -> np.ndarray | None:
        """Outline of what can be seen of a cap of less than half the head."""
        axis, degrees = cap
        rim, outline = _RIMS[cap], self.outline
        inside = outline @ (np.array(axis) / np.linalg.norm(axis)) > np.cos(np.deg2rad(degrees))
        seen = np.concatenate([rim[rim @ self.facing > 0], outline[inside]])
        return hull(self.pixels(seen * inflate)) if len(seen) > 2 else None

    def fill(self, outline: np.ndarray | None, part: str, fabric: np.ndarray, contour: float = 1.0) -> None:
        if outline is not None:
            up = 0.06 * self.unit * np.array([self.body.head[0, 1], -self.body.head[1, 1]])
            ends = self.centre + up, self.centre - up
            self.canvas.fabric(outline, self.label(part), fabric, *ends, 0.11 * self.unit, contour)

    def mane(self) -> None:
        points = self.body.points
        top = self.view.project(points["head"] - 0.02 * self.body.head[:, 2])
        end = self.view.project(points["neck"] - 0.055 * self.body.chest[:, 2] - 0.03 * self.body.chest[:, 1])
        shape = capsule(top, end, 0.058 * self.unit, 0.043 * self.unit)
        self.canvas.fabric(shape, self.label("hair"), self.look.hair, top, end, 0.12 * self.unit, self.look.outline)

    def paint(self) -> None:
        look = self.look
        if look.hair_style == "bald":
            self.fill(hull(self.pixels(self.outline)), "skull", look.skin, look.outline)
        else:
            self.fill(hull(self.pixels(self.outline * 1.07)), "hair", look.hair, look.outline)
            self.fill(self.cap(_FACE), "skull", look.skin)
        if look.beard:
            self.fill(self.cap(_JAW), "skull", look.hair)
        if look.hair_style in ("bald", "short"):
            self.ears()
        self.face()
        if look.hat:
            self.fill(self.cap(_CROWN, 1.16), "hair", look.extra, 0.6)
            brim = np.array([(-0.7, 0.62, 0.7), (0.7, 0.62, 0.7), (0.5, 0.5, 1.5), (-0.5, 0.5, 1.5)])
            if self.body.head[2, 2] > 0:
                self.fill(hull(self.pixels(brim)), "hair", look.extra, 0.6)

    def ears(self) -> None:
        skin = self.look.skin[0, 0]
        for sign, side in zip((1, -1), SIDES, strict=True):
            if sign * self.facing[0] > -0.3:
                centre = self.at[f"{side}_ear"]
                back, up = self.axes(0.013, 0.019, across=2)
                self.canvas.flat(ellipse(centre, back, up, 10), self.label(f"{side}_ear"), skin * 0.82)
                self.canvas.flat(ellipse(centre, back * 0.45, up * 0.5, 8), None, skin * 0.6)

    def axes(self, across_size: float, up_size: float, across: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Half axes in pixels of a small ellipse on the head, never thinner than what can be seen."""
        up = self.body.head[:2, 1] * UPRIGHT * up_size * self.unit
        side = self.body.head[:2, across] * UPRIGHT * across_size * self.unit
        length, least = float(np.hypot(*side)), 0.45 * across_size * self.unit
        if length < least:
            normal = np.array([up[1], -up[0]]) / max(float(np.hypot(*up)), 1e-6)
            side = normal * least
        return side, up

    def face(self) -> None:
        draw, look = self.canvas, self.look
        skin = look.skin[0, 0]
        dark = look.hair[0, 0] * 0.7
        for side in SIDES:
            if _MARKS[f"{side}_eye"][0] @ self.facing <= 0.06:
                continue
            centre = self.at[f"{side}_eye"]
            across, up = self.axes(0.0125, 0.0085)
            draw.flat(ellipse(centre, across, up, 12), self.label(f"{side}_eye"), _EYE_WHITE)
            draw.flat(ellipse(centre, across * 0.52, up * 0.8, 8), None, _PUPIL)
            draw.line(self.at[f"{side}_brow"], dark)
            if look.glasses:
                rim = ellipse(centre, across * 1.7, up * 2.1, 12)
                draw.line(np.concatenate([rim, rim[:1]]), dark)
                draw.line(np.concatenate([centre, self.at[f"{side}_temple"]]), dark)
        if _MARKS["nose"][0] @ self.facing > -0.05:
            draw.flat(hull(self.at["bridge"]), self.label("nose"), skin * 0.8)
            across, up = 0.008 * self.unit * np.eye(2)
            draw.flat(ellipse(self.at["nose"], across, up, 8), self.label("nose"), np.minimum(skin * 0.95 + 12, 255))
        mouth = _MARKS["mouth"] @ self.facing
        if mouth[1] > 0.1:
            draw.line(self.at["mouth"][mouth > 0], _LIPS + skin * 0.3, 2)
