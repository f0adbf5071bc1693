"""AI Challenger keypoints as they were released: a list of {image_id, human_annotations, keypoint_annotations}.

A box is (left, top, right, bottom); a visibility is 1 (visible), 2 (occluded) or 3 (outside the image).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pose.skeleton import AIC_14

if TYPE_CHECKING:
    from calib_data.formats import Held

_VISIBILITY = {1: 2, 2: 1, 3: 0}  # theirs: COCO's


def is_entry(value: Any) -> bool:
    """Whether a value is an image of this format."""
    return isinstance(value, dict) and {"image_id", "keypoint_annotations"} <= set(value)


def read(entries: list[Any], path: Path) -> Held:
    """The people of the list, as parts of a COCO file; entries that are no images stay what they are, for the reader."""
    from calib_data.formats import Held

    images: list[dict[str, Any]] = []
    annotations: list[Any] = []
    for number, entry in enumerate(entries, 1):
        if not is_entry(entry) or not isinstance(entry["keypoint_annotations"], dict):
            annotations.append(None)
            continue
        images.append({"id": number, "file_name": f"{entry['image_id']}.jpg"})
        boxes = entry.get("human_annotations")
        for name, triples in entry["keypoint_annotations"].items():
            box = boxes.get(name) if isinstance(boxes, dict) else None
            annotations.append({"id": len(annotations) + 1, "image_id": number, "category_id": 1, **_place(triples, box)})
    return Held(images, annotations, [{"id": 1, "name": "person", "keypoints": list(AIC_14.joints)}])


def _place(triples: Any, box: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {"keypoints": "wrong"}
    try:
        fields["keypoints"] = [
            value if place % 3 < 2 else _VISIBILITY.get(value, value) for place, value in enumerate(triples)
        ]
        left, top, right, bottom = box
        fields["bbox"] = [left, top, right - left, bottom - top]
    except (TypeError, ValueError):
        pass  # the reader says which annotation has no box or no keypoints
    return fields
