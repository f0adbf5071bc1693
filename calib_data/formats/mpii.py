"""MPII Human Pose as mmpose and HRNet publish it: a list of {image, center, scale, joints [16, 2], joints_vis [16]}.

Coordinates are MATLAB's, from 1. `scale` is the person's height over 200 pixels.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pose.skeleton import MPII_16

if TYPE_CHECKING:
    from calib_data.formats import Held

_PIXELS = 200  # of a scale of 1
_LOWER = 15  # pixels at a scale of 1 by which mmpose and HRNet move the centre down, so that no feet are cut off


def is_entry(value: Any) -> bool:
    """Whether a value is a person of this format."""
    return isinstance(value, dict) and {"image", "joints", "joints_vis"} <= set(value)


def read(entries: list[Any], path: Path) -> Held:
    """The people of the list, as parts of a COCO file; entries that are no people stay what they are, for the reader."""
    from calib_data.formats import Held

    numbers: dict[str, int] = {}
    annotations: list[Any] = []
    for number, entry in enumerate(entries, 1):
        if not is_entry(entry) or not isinstance(entry["image"], str):
            annotations.append(None)
            continue
        image = numbers.setdefault(entry["image"], len(numbers) + 1)
        annotations.append({"id": number, "image_id": image, "category_id": 1, **_place(entry)})
    images = [{"id": number, "file_name": name} for name, number in numbers.items()]
    return Held(images, annotations, [{"id": 1, "name": "person", "keypoints": list(MPII_16.joints)}])


def _place(entry: dict[str, Any]) -> dict[str, Any]:
    """`keypoints`, `bbox` and `area` of a person; without what the entry does not have, or has no numbers of."""
    fields: dict[str, Any] = {}
    try:
        joints = [
            (x - 1, y - 1, 2 if seen else 0) for (x, y), seen in zip(entry["joints"], entry["joints_vis"], strict=True)
        ]
        fields["keypoints"] = [number for x, y, v in joints for number in ((x, y, v) if v else (0, 0, 0))]
        (x, y), scale = entry["center"], entry["scale"]
        side = _PIXELS * scale
        fields["bbox"] = [x - 1 - side / 2, y - 1 + _LOWER * scale - side / 2, side, side]
        seen = [joint for joint in joints if joint[2]]
        width, height = (max(axis) - min(axis) for axis in list(zip(*seen, strict=True))[:2])
        fields["area"] = width * height  # of the joints: that of a square box would be several times the person's
    except (KeyError, TypeError, ValueError, OverflowError):
        fields.setdefault("keypoints", "wrong")
    return fields
