"""A hand of 21 joints and an animal of 9, drawn as dots and lines: COCO files of skeletons that nothing here registers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

SIZE = 96
FINGERS = ("thumb", "index", "middle", "ring", "little")
HAND: dict[str, Any] = {
    "name": "hand",
    "keypoints": ["wrist", *(f"{finger}{joint}" for finger in FINGERS for joint in (1, 2, 3, 4))],
    "skeleton": [
        [1 + 4 * finger + joint if joint else 1, 2 + 4 * finger + joint] for finger in range(5) for joint in range(4)
    ],
}
ANIMAL: dict[str, Any] = {
    "name": "animal",
    "keypoints": ["nose", "left_ear", "right_ear", "withers", "tail", "left_fore", "right_fore", "left_hind", "right_hind"],
    "skeleton": [[1, 4], [4, 5], [4, 6], [4, 7], [5, 8], [5, 9]],
    "sigmas": [0.03, 0.03, 0.03, 0.08, 0.08, 0.09, 0.09, 0.09, 0.09],
}


def write_objects(folder: Path, category: dict[str, Any], count: int = 6, seed: int = 0) -> Path:
    """Write `people.json` and its `images` into a folder; returns the json."""
    random = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True)
    images, annotations = [], []
    for number in range(1, count + 1):
        points = random.uniform(0.2 * SIZE, 0.8 * SIZE, (len(category["keypoints"]), 2)).round(1)
        image = np.full((SIZE, SIZE, 3), random.integers(40, 120), np.uint8)
        for a, b in category["skeleton"]:
            ends = (tuple(points[joint - 1].round().astype(int).tolist()) for joint in (a, b))
            cv2.line(image, *ends, (200, 200, 200), 2)
        for joint, (x, y) in enumerate(points):
            cv2.circle(image, (round(x), round(y)), 3, (40, 12 * joint % 255, 255 - 12 * joint % 255), -1)
        cv2.imwrite(str(folder / "images" / f"{number}.png"), image)
        low, high = points.min(0) - 4, points.max(0) + 4
        images.append({"id": number, "file_name": f"{number}.png", "width": SIZE, "height": SIZE})
        annotations.append({
            "id": number, "image_id": number, "category_id": 1, "iscrowd": 0, "bbox": [*low, *(high - low)],
            "area": float(np.prod(high - low)), "keypoints": np.insert(points, 2, 2, axis=1).ravel().tolist(),
        })  # fmt: skip
    path = folder / "people.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": [{"id": 1, **category}]}))
    return path
