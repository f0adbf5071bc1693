"""A body and a look become a drawn person: parts are painted from far to near, and keypoints know what hides them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from calib_data.synthetic.body import SIDES, Body
from calib_data.synthetic.canvas import FIRST_OWN, UPRIGHT, Canvas, capsule, ellipse, hull
from calib_data.synthetic.head import draw_head, face_points
from calib_data.synthetic.wardrobe import Look
from pose.skeleton import COCO_17

OTHER = FIRST_OWN - 1
_ARMS_AND_LEGS = ("upper_arm", "forearm", "hand", "thigh", "shin", "shoe")
_PARTS = ["chest", "pelvis", "neck", "skull", "hair", "nose"] + [
    f"{side}_{part}" for side in SIDES for part in (*_ARMS_AND_LEGS, "eye", "ear")
]
LABELS = {part: FIRST_OWN + index for index, part in enumerate(_PARTS)}  # of the person of interest
_SHOWS = {  # the parts that show a joint when they are in front at its pixel
    "shoulder": ("upper_arm",), "elbow": ("upper_arm", "forearm"), "wrist": ("forearm", "hand"),
    "hip": ("thigh",), "knee": ("thigh", "shin"), "ankle": ("shin", "shoe"), "eye": ("eye",), "ear": ("ear",),
}  # fmt: skip
_IN_REACH = 12  # pixels: about a sixteenth of a drawn person
_TRUNK = {"shoulder": ("chest", "neck"), "hip": ("pelvis", "pelvis")}  # the part, and the point on its axis
_TURNED = 0.75  # sine of the turn from which the trunk hides its far shoulder and hip
_LIMBS = (  # part, from, to, radii in heights
    ("upper_arm", "shoulder", "elbow", 0.030, 0.024), ("forearm", "elbow", "wrist", 0.024, 0.017),
    ("hand", "wrist", "hand", 0.017, 0.016), ("thigh", "hip", "knee", 0.046, 0.034),
    ("shin", "knee", "ankle", 0.033, 0.021), ("shoe", "heel", "toe", 0.023, 0.018),
)  # fmt: skip
_AROUND = np.linspace(0, 2 * np.pi, 12, endpoint=False)
_RING = np.stack([np.cos(_AROUND), np.zeros(12), np.sin(_AROUND)], 1)


@dataclass(frozen=True)
class View:
    """Where a body stands in the image: perspective from `distance` heights away, `scale` pixels a height at its centre."""

    centre: np.ndarray
    scale: float
    distance: float

    def project(self, points: np.ndarray) -> np.ndarray:
        """Image pixels [..., 2] of camera coordinates [..., 3]."""
        near = self.scale * self.distance * UPRIGHT / (self.distance - points[..., 2:])
        return np.asarray(self.centre + points[..., :2] * near)


def keypoints_3d(body: Body) -> np.ndarray:
    """COCO-17 joints in camera axes, float64 [17, 3]."""
    face = face_points(body)
    return np.array([face[joint] if joint in face else body.points[joint] for joint in COCO_17.joints])


def draw_person(canvas: Canvas, body: Body, look: Look, view: View, own: bool) -> None:
    """Paint a person over the picture; `own` for the person of interest, whose parts get their own labels."""
    painter = _Painter(canvas, body, look, view, own)
    for _, paint in sorted(painter.parts(), key=lambda part: part[0]):
        paint()


def inside(canvas: Canvas, pixels: np.ndarray) -> np.ndarray:
    """Whether each of some points [n, 2] rounds to a pixel of the picture, bool [n]."""
    height, width = canvas.image.shape[:2]
    places = np.rint(pixels)
    return np.asarray(((places >= 0) & (places < (width, height))).all(-1))


def visibility(canvas: Canvas, body: Body, pixels: np.ndarray) -> np.ndarray:
    """COCO's flag of each joint [17] of the person of interest in the finished picture.

    2: what shows at the joint's pixel is a part that the joint belongs to, and for shoulders and hips the trunk does not
    stand between. 1: something else shows there, but such a part shows within 12 pixels along both axes. 0: outside the
    image, or no such part near: COCO's annotators, too, leave out what they cannot place, as the nose of a turned back.
    """
    flags = np.zeros(len(COCO_17), np.int64)
    for index in np.flatnonzero(inside(canvas, pixels)).tolist():
        column, row = (round(at) for at in pixels[index].tolist())
        shown_by = _shown_by(COCO_17.joints[index], body)
        if int(canvas.labels[row, column]) in shown_by:
            flags[index] = 2
        else:
            rows, columns = (slice(max(at - _IN_REACH, 0), at + _IN_REACH + 1) for at in (row, column))
            flags[index] = not shown_by.isdisjoint(canvas.labels[rows, columns].tobytes())
    return flags


def _shown_by(joint: str, body: Body) -> set[int]:
    if joint == "nose":
        return {LABELS["nose"]}
    side, _, name = joint.partition("_")
    parts = {LABELS[f"{side}_{part}"] for part in _SHOWS[name]}
    if name in _TRUNK:
        trunk, middle = _TRUNK[name]
        across = body.points[joint] - body.points[middle]
        if -across[2] < _TURNED * float(np.linalg.norm(across)):
            parts.add(LABELS[trunk])
    return parts


class _Painter:
    def __init__(self, canvas: Canvas, body: Body, look: Look, view: View, own: bool) -> None:
        self.canvas, self.body, self.look, self.view, self.own = canvas, body, look, view, own
        self.at = dict(zip(body.points, view.project(np.array(list(body.points.values()))), strict=True))

    def label(self, part: str) -> int:
        return LABELS[part] if self.own else OTHER

    def parts(self) -> list[tuple[float, Callable[[], None]]]:
        """Depth towards the camera, and what to paint there."""
        p, look = self.body.points, self.look
        trunk = p["waist"][2]
        parts: list[tuple[float, Callable[[], None]]] = [
            ((trunk + p["neck"][2]) / 2, self.chest),
            ((trunk + p["pelvis"][2]) / 2 - 0.004, self.pelvis),
            ((p["neck"][2] + p["head"][2]) / 2 - 0.02, self.neck),
            *draw_head(self.canvas, self.body, look, self.view, self.label),
        ]
        for side in SIDES:
            for part, start, end, *radii in _LIMBS:
                depth = (p[f"{side}_{start}"][2] + p[f"{side}_{end}"][2]) / 2
                parts.append((depth + 0.012, partial(self.limb, side, part, start, end, *radii)))
        if look.skirt:
            parts.append((max(p["left_knee"][2], p["right_knee"][2], p["pelvis"][2]) / 2 + 0.05, self.skirt))
        if look.backpack:
            parts.append((float((p["neck"] - 0.1 * self.body.chest[:, 2])[2]), self.backpack))
        return parts

    def limb(self, side: str, part: str, start: str, end: str, start_radius: float, end_radius: float) -> None:
        look = self.look
        a, b = self.at[f"{side}_{start}"], self.at[f"{side}_{end}"]
        scale = self.view.scale * self.body.girth
        first, second = start_radius * scale, end_radius * scale
        cover, cloth = {
            "upper_arm": (2 * look.sleeve, look.shirt), "forearm": (2 * look.sleeve - 1, look.shirt),
            "thigh": (2 * look.leg, look.trousers), "shin": (2 * look.leg - 1, look.trousers), "shoe": (1.0, look.shoes),
        }.get(part, (0.0, look.skin))  # fmt: skip
        if part == "thigh" and look.skirt:
            cover = 0.0
        label = self.label(f"{side}_{part}")
        if cover < 1:
            self.canvas.fabric(capsule(a, b, first, second), label, look.skin, a, b, 2 * first, look.outline, sides=True)
        if cover > 0:
            cover = min(cover, 1)
            stop = a + cover * (b - a)
            slack = 1.0 if part == "shoe" else 1.14
            shape = capsule(a, stop, first * slack, (first + cover * (second - first)) * slack * (1 if cover == 1 else 1.05))
            self.canvas.fabric(shape, label, cloth, a, b, 2 * first, look.outline, sides=part != "shoe")

    def ring(self, turn: np.ndarray, centre: np.ndarray, width: float, depth: float) -> np.ndarray:
        return centre + (_RING * (width, 0, depth)) @ turn.T

    def chest(self) -> None:
        p, girth, turn, look = self.body.points, self.body.girth, self.body.chest, self.look
        wide = float(np.linalg.norm(p["left_shoulder"] - p["neck"]))
        down = -turn[:, 1]
        rings = [self.ring(turn, p["neck"] + 0.008 * down, 0.55 * wide, 0.035 * girth),
                 self.ring(turn, p["neck"] + 0.035 * down, wide + 0.012 * girth, 0.05 * girth),
                 self.ring(turn, p["neck"] + 0.09 * down, 0.9 * wide, 0.062 * girth),
                 self.ring(turn, p["waist"], 0.075 * girth, 0.058 * girth)]  # fmt: skip
        outline = hull(self.view.project(np.concatenate(rings)))
        self.canvas.fabric(outline, self.label("chest"), look.shirt, self.at["neck"], self.at["waist"],
                           2 * wide * self.view.scale, look.outline)  # fmt: skip
        if abs(turn[2, 2]) > 0.3:
            self.chest_front(wide) if turn[2, 2] > 0 else self.chest_back(wide)

    def on_chest(self, points: list[tuple[float, float]], side: float) -> np.ndarray:
        """Pixels of points (to the left, below the neck) on the chest's front (side 1) or back (side -1)."""
        across, down = np.array(points).T
        local = np.stack([across, -down, side * 0.06 * self.body.girth * np.ones_like(down)], 1)
        return self.view.project(self.body.points["neck"] + local @ self.body.chest.T)

    def chest_front(self, wide: float) -> None:
        look, draw = self.look, self.canvas
        shirt, extra = look.shirt[0, 0], look.extra[0, 0]
        dark = shirt * 0.6 if shirt.sum() > 200 else shirt + 60
        draw.flat(self.on_chest([(-0.035, 0.0), (0.035, 0.0), (0, 0.055)], 0.8), None, look.skin[0, 0])
        if look.front == "buttons":
            draw.line(self.on_chest([(0, 0.055), (0, 0.17)], 1), dark)
            for down in (0.075, 0.105, 0.135):
                draw.flat(
                    ellipse(self.on_chest([(0.004, down)], 1)[0], np.array([1.4, 0]), np.array([0, 1.4]), 6), None, extra
                )
        elif look.front == "logo":
            draw.flat(self.on_chest([(0.03, 0.05), (0.07, 0.05), (0.07, 0.085), (0.03, 0.085)], 1), None, extra)
        elif look.front == "tie":
            draw.flat(
                self.on_chest([(-0.008, 0.04), (0.008, 0.04), (0.014, 0.15), (0, 0.17), (-0.014, 0.15)], 1), None, extra
            )
        elif look.front == "print":
            draw.flat(ellipse(*_axes(self.on_chest([(0, 0.095), (0.5 * wide, 0.095), (0, 0.135)], 1))), None, extra)
        else:
            draw.flat(self.on_chest([(-0.02, 0.01), (0.02, 0.01), (0.028, 0.17), (-0.028, 0.17)], 1), None, extra)
            draw.line(self.on_chest([(-0.04, 0.0), (-0.028, 0.17)], 1), dark)
            draw.line(self.on_chest([(0.04, 0.0), (0.028, 0.17)], 1), dark)
        if look.backpack:
            for x in (-0.07, 0.07):
                draw.line(self.on_chest([(x, 0.0), (x * 1.1, 0.16)], 1), extra, 3)

    def chest_back(self, wide: float) -> None:
        shirt = self.look.shirt[0, 0]
        dark = shirt * 0.7
        self.canvas.line(self.on_chest([(-0.8 * wide, 0.055), (0, 0.045), (0.8 * wide, 0.055)], -1), dark)
        if self.look.front == "print":
            extra = self.look.extra[0, 0]
            self.canvas.flat(self.on_chest([(-0.05, 0.07), (0.05, 0.07), (0.05, 0.09), (-0.05, 0.09)], -1), None, extra)

    def pelvis(self) -> None:
        p, girth, turn, look = self.body.points, self.body.girth, self.body.pelvis, self.look
        wide = float(np.linalg.norm(p["left_hip"] - p["pelvis"]))
        rings = [self.ring(self.body.chest, p["waist"], 0.073 * girth, 0.056 * girth),
                 self.ring(turn, p["pelvis"], wide + 0.026 * girth, 0.064 * girth),
                 self.ring(turn, p["pelvis"] - 0.045 * turn[:, 1], 0.6 * wide, 0.045 * girth)]  # fmt: skip
        outline = hull(self.view.project(np.concatenate(rings)))
        self.canvas.fabric(outline, self.label("pelvis"), look.trousers, self.at["waist"], self.at["pelvis"],
                           2 * (wide + 0.02) * self.view.scale, look.outline)  # fmt: skip
        front = turn[2, 2]
        if abs(front) > 0.3:
            depth = 0.06 * girth * np.sign(front)
            dark = look.trousers[0, 0] * 0.6
            marks = [[(0, 0.05), (0, -0.05)]] if front > 0 else [[(x - 0.022, 0), (x + 0.022, 0)] for x in (-0.045, 0.045)]
            for mark in marks:
                local = np.array([(x, y, depth) for x, y in mark])
                self.canvas.line(self.view.project(p["pelvis"] + local @ turn.T), dark)

    def neck(self) -> None:
        radius = 0.030 * self.view.scale * self.body.girth
        a, b = self.at["neck"], self.at["head"]
        stop = a + 0.6 * (b - a)
        self.canvas.fabric(capsule(a, stop, radius, 0.95 * radius), self.label("neck"), self.look.skin, a, b, 2 * radius)

    def skirt(self) -> None:
        p, girth, turn = self.body.points, self.body.girth, self.body.pelvis
        wide = float(np.linalg.norm(p["left_hip"] - p["pelvis"]))
        rings = [self.ring(turn, p["pelvis"] + 0.03 * turn[:, 1], wide + 0.01 * girth, 0.06 * girth)]
        for side in SIDES:
            hem = p[f"{side}_hip"] + self.look.skirt * (p[f"{side}_knee"] - p[f"{side}_hip"])
            rings.append(self.ring(turn, hem, 0.06, 0.06))
        outline = hull(self.view.project(np.concatenate(rings)))
        knees = (self.at["left_knee"] + self.at["right_knee"]) / 2
        self.canvas.fabric(outline, self.label("pelvis"), self.look.trousers, self.at["pelvis"], knees,
                           2.4 * wide * self.view.scale, self.look.outline)  # fmt: skip

    def backpack(self) -> None:
        neck, turn = self.body.points["neck"], self.body.chest
        corners = np.array([(x, y, z) for x in (-0.075, 0.075) for y in (-0.02, -0.2) for z in (-0.06, -0.13)])
        outline = hull(self.view.project(neck + corners @ turn.T))
        self.canvas.fabric(outline, OTHER, self.look.extra, self.at["neck"], self.at["waist"], 0.2 * self.view.scale, 0.6)


def _axes(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return points[0], points[1] - points[0], points[2] - points[0]
