"""The people on whom an artefact differs most from its float program, with both poses drawn on them."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from markupsafe import Markup

from calib_data.sample import PoseSource
from edge.evaluate.check import open_source
from edge.evaluate.records import EMBEDDED, Check, Worst
from edge.report.svg import canvas, line, tag
from pose.crop import CropSpec, affine, transform, warp
from pose.errors import InputError
from pose.skeleton import SKELETONS

ENLARGED, QUALITY = 1.5, 80
MOVED = 0.02  # of the crop's height; nearer joints get no line between float and int8


@dataclass(frozen=True)
class Crop:
    """One picture of the page; `label` is the artefact's."""

    label: str
    picture: Markup
    alt: str
    caption: str


def crops(check: Check, source: PoseSource) -> list[Crop]:
    """The worst people of a check, as their network saw them, enlarged.

    Args:
        source: what was checked.

    Raises:
        InputError: the data holds fewer people than were checked.
    """
    limbs = _limbs(check)
    width, height = (round(side * ENLARGED) for side in check.crop)
    pictures = []
    for person in check.worst:
        if person.index >= len(source):
            raise InputError(f"{check.data} holds {len(source)} people, and the check names number {person.index}")
        spec = CropSpec(width, height)
        matrix = affine(source.labels(person.index).box, spec)
        drawn = _draw(warp(source.image(person.index), matrix, spec), person, matrix, limbs)
        alt = f"Person {person.index} of {check.data}: the poses of float and {check.label}, {person.px:.1f} pixels apart"
        pictures.append(Crop(check.label, drawn, alt, f"№ {person.index}: {person.px:.1f} px apart"))
    return pictures


def _limbs(check: Check) -> list[tuple[int, int]]:
    """Limbs as indices of the student's joints; those of a registered skeleton in a file of an older version."""
    joints = list(check.lowered.per_joint_px) or check.joints
    limbs: Sequence[tuple[str, str]] = check.limbs
    if not limbs:
        limbs = next((known.limbs for known in SKELETONS.values() if list(known.joints) == joints), ())
    return [(joints.index(a), joints.index(b)) for a, b in limbs if a in joints and b in joints]


def _draw(image: np.ndarray, person: Worst, matrix: np.ndarray, limbs: Sequence[tuple[int, int]]) -> Markup:
    height, width = image.shape[:2]
    encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
    data = f"data:image/jpeg;base64,{base64.b64encode(encoded.tobytes()).decode()}"
    poses = {
        kind: transform(np.array(points), matrix) for kind, points in (("float", person.fp32), ("int8", person.lowered))
    }
    parts = [tag("image", href=data, width=width, height=height)]
    for a, b in zip(poses["float"], poses["int8"], strict=True):
        if np.linalg.norm(a - b) > MOVED * height:
            parts.append(line(a[0], a[1], b[0], b[1], "moved"))
    for kind, points in poses.items():
        lines = [(points[a], points[b]) for a, b in limbs if max(a, b) < len(points)]
        path = "".join(f"M{a[0]:.1f},{a[1]:.1f}L{b[0]:.1f},{b[1]:.1f}" for a, b in lines)
        parts += [tag("path", d=path, class_="halo"), tag("path", d=path, class_=f"limb {kind}")] if path else []
        parts += [tag("circle", cx=x, cy=y, r=3.2, class_=f"joint {kind}") for x, y in points.tolist()]
    return canvas(width, height, *parts)


def reopen(check: Check, data: Path | None = None, images: Path | None = None) -> PoseSource:
    """The people that were checked, read again.

    Args:
        data, images: where they are now, if not where the check says.

    Raises:
        InputError: they cannot be read.
    """
    embedded = data is None and check.data == EMBEDDED
    folder = images or (Path(check.images) if check.images else None)
    if embedded:
        return open_source(None, None, check.boxes)
    return open_source(
        data or Path(check.data), folder, check.boxes, check.skeleton, category=check.category, exif=check.exif
    )
